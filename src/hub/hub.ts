/**
 * The hub: an OCI registry, an MQTT broker and a page of the fleet in one process, on one folder, for
 * a bench, a demo or one plant without servers. No agent needs it: behind its URLs may stand any
 * registry and broker.
 * Without TLS it knows no users, so it listens on loopback unless told otherwise; with TLS devices
 * enrol and operators have secrets (secure.ts).
 */
import { ok, type Result, refuse, refused } from '#errors/fault.ts';
import type { HeldLock } from '#platform/locks.ts';
import type { Platform } from '#platform/platform.ts';
import type { Digest } from '#state/digest.ts';
import { startBroker } from './broker.ts';
import { type Disk, openDisk } from './disk.ts';
import { type Fleet, openFleet, watched } from './fleet.ts';
import { registryOn } from './registry.ts';
import { openRetained, type Retained } from './retained.ts';
import { openSecure, type Secure, type SecureOptions } from './secure.ts';

export interface HubOptions {
  /** absolute; made when missing */
  readonly folder: string;
  readonly host: string;
  /** 0: any free one */
  readonly registryPort: number;
  readonly mqttPort: number;
  /** listens beyond loopback */
  readonly insecure: boolean;
  /** TLS, enrolment and access; null: everyone may do everything */
  readonly secure?: SecureOptions | null;
}

export interface Hub {
  readonly registryPort: number;
  readonly mqttPort: number;
  /** of its authority's certificate; null: no TLS */
  readonly authority: Digest | null;
  /** what the registry holds: for a Margo manager beside it (margo.ts) */
  readonly content: Pick<Disk, 'tag' | 'manifest' | 'openBlob'>;
  /** Ends both; what was acknowledged is on disk. */
  close(): Promise<void>;
}

export type HubPlatform = Pick<
  Platform,
  | 'certificates'
  | 'clock'
  | 'files'
  | 'listener'
  | 'locks'
  | 'log'
  | 'mqttListener'
  | 'random'
  | 'x509'
>;

/** `hub.not-loopback`, `hub.in-use`, `hub.port-in-use`, or a fault of the disk. */
export async function startHub(platform: HubPlatform, options: HubOptions): Promise<Result<Hub>> {
  const { folder, host, insecure, secure } = options;
  if (!insecure && !secure && !isLoopback(host)) return refuse('hub.not-loopback', { host });
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
  const { clock, listener, log, mqttListener, random } = platform;
  const { folder, host, registryPort, mqttPort } = options;
  const parts = await openParts(platform, options);
  if (!parts.ok) return parts;
  const { disk, retained, guard, fleet, release } = parts.value;
  const tls = guard ? { tls: guard.tls } : {};
  const open = registryOn(disk, clock, random);
  const handle = guard ? guard.gate(open, fleet.routes) : fleet.before(open);
  const registry = await listener.listen({ kind: 'tcp', host, port: registryPort, ...tls }, handle);
  if (!registry.ok) {
    release();
    return inUse(registry, host, registryPort);
  }
  const access = guard ? { access: guard.access } : {};
  const broker = await startBroker(
    { listener: mqttListener, retained: watched(retained, fleet.view), log, ...access },
    { host, port: mqttPort, ...tls },
  );
  if (!broker.ok) {
    await registry.value.close();
    release();
    return inUse(broker, host, mqttPort);
  }
  const ports = { registry: registry.value.port, mqtt: broker.value.port };
  const admin = guard ? await guard.listening(ports) : ok(null);
  if (!admin.ok) {
    await Promise.all([registry.value.close(), broker.value.close()]);
    release();
    return admin;
  }
  log.write('info', 'hub.started', { folder, ...ports });
  return ok({
    registryPort: ports.registry,
    mqttPort: ports.mqtt,
    authority: guard?.authority.digest ?? null,
    content: disk,
    async close() {
      await admin.value?.close();
      await Promise.all([registry.value.close(), broker.value.close()]);
      release();
      lock.release();
      log.write('info', 'hub.stopped');
    },
  });
}

interface OpenParts {
  readonly disk: Disk;
  readonly retained: Retained;
  readonly guard: Secure | null;
  readonly fleet: Fleet;
  release(): void;
}

/** What is on disk; all of it, or nothing is held open. */
async function openParts(platform: HubPlatform, options: HubOptions): Promise<Result<OpenParts>> {
  const { clock, files } = platform;
  const { folder } = options;
  const open: { close(): void }[] = [];
  const release = (): void => {
    for (const part of open.toReversed()) part.close();
  };
  const held = <T extends { close(): void } | null>(part: Result<T>): Result<T> => {
    if (!part.ok) release();
    else if (part.value) open.push(part.value);
    return part;
  };
  const disk = held(openDisk(files, `${folder}/registry`));
  if (!disk.ok) return disk;
  const retained = held(openRetained(files, `${folder}/mqtt`, clock));
  if (!retained.ok) return retained;
  const guard = held(await guardOf(platform, options));
  if (!guard.ok) return guard;
  const of = { ...options, guard: guard.value, retained: retained.value };
  const fleet = held(openFleet(platform, of));
  if (!fleet.ok) return fleet;
  return ok({
    ...{ disk: disk.value, retained: retained.value, guard: guard.value, fleet: fleet.value },
    release,
  });
}

async function guardOf(
  platform: HubPlatform,
  { folder, secure }: HubOptions,
): Promise<Result<Secure | null>> {
  return secure ? openSecure(platform, folder, secure) : ok(null);
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host);
}

function inUse(result: Result<unknown>, host: string, port: number): Result<never> {
  if (result.ok) return refuse('hub.port-in-use', { address: `${host}:${port}` });
  const busy = result.fault.message.includes('EADDRINUSE');
  return busy ? refuse('hub.port-in-use', { address: `${host}:${port}` }) : refused(result.fault);
}
