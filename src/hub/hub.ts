/**
 * The hub: an OCI registry and an MQTT broker in one process, on one folder, for a bench, a demo or
 * one plant without servers. No agent needs it: behind its URLs may stand any registry and broker.
 * It knows no users, so it listens on loopback unless told otherwise.
 */
import { ok, type Result, refuse, refused } from '#errors/fault.ts';
import type { HeldLock } from '#platform/locks.ts';
import type { Platform } from '#platform/platform.ts';
import { startBroker } from './broker.ts';
import { openDisk } from './disk.ts';
import { registryOn } from './registry.ts';
import { openRetained } from './retained.ts';

export interface HubOptions {
  /** absolute; made when missing */
  readonly folder: string;
  readonly host: string;
  /** 0: any free one */
  readonly registryPort: number;
  readonly mqttPort: number;
  /** listens beyond loopback */
  readonly insecure: boolean;
}

export interface Hub {
  readonly registryPort: number;
  readonly mqttPort: number;
  /** Ends both; what was acknowledged is on disk. */
  close(): Promise<void>;
}

export type HubPlatform = Pick<
  Platform,
  'clock' | 'files' | 'listener' | 'locks' | 'log' | 'mqttListener' | 'random'
>;

/** `hub.not-loopback`, `hub.in-use`, `hub.port-in-use`, or a fault of the disk. */
export async function startHub(platform: HubPlatform, options: HubOptions): Promise<Result<Hub>> {
  const { folder, host, insecure } = options;
  if (!insecure && !isLoopback(host)) return refuse('hub.not-loopback', { host });
  const made = platform.files.open(folder, { create: 0o700, follow: true });
  if (!made.ok) return made;
  made.value.close();
  const lock = platform.locks.take(`${folder}/hub.lock`);
  if (!lock.ok) return lock;
  if (!lock.value) return refuse('hub.in-use', { folder });
  const hub = await startLocked(platform, options, lock.value);
  if (!hub.ok) lock.value.release();
  return hub;
}

async function startLocked(
  platform: HubPlatform,
  options: HubOptions,
  lock: HeldLock,
): Promise<Result<Hub>> {
  const { clock, files, listener, log, mqttListener, random } = platform;
  const { folder, host, registryPort, mqttPort } = options;
  const disk = openDisk(files, `${folder}/registry`);
  if (!disk.ok) return disk;
  const retained = openRetained(files, `${folder}/mqtt`, clock);
  if (!retained.ok) {
    disk.value.close();
    return retained;
  }
  const release = (): void => {
    retained.value.close();
    disk.value.close();
  };
  const handle = registryOn(disk.value, clock, random);
  const registry = await listener.listen({ kind: 'tcp', host, port: registryPort }, handle);
  if (!registry.ok) {
    release();
    return inUse(registry, host, registryPort);
  }
  const broker = await startBroker(
    { listener: mqttListener, retained: retained.value, log },
    { host, port: mqttPort },
  );
  if (!broker.ok) {
    await registry.value.close();
    release();
    return inUse(broker, host, mqttPort);
  }
  log.write('info', 'hub.started', {
    folder,
    registry: registry.value.port,
    mqtt: broker.value.port,
  });
  return ok({
    registryPort: registry.value.port,
    mqttPort: broker.value.port,
    async close() {
      await Promise.all([registry.value.close(), broker.value.close()]);
      release();
      lock.release();
      log.write('info', 'hub.stopped');
    },
  });
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host);
}

function inUse(result: Result<unknown>, host: string, port: number): Result<never> {
  if (result.ok) return refuse('hub.port-in-use', { address: `${host}:${port}` });
  const busy = result.fault.message.includes('EADDRINUSE');
  return busy ? refuse('hub.port-in-use', { address: `${host}:${port}` }) : refused(result.fault);
}
