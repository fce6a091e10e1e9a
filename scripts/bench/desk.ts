/**
 * The publisher's side of a measurement, in this process: a fleet folder, one file that changes,
 * and one connection to the broker, so that a nudge leaves right after the registry has
 * acknowledged the manifest.
 */
import { execFileSync } from 'node:child_process';
import { createPublicKey, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Result } from '#errors/fault.ts';
import { openBroker } from '#link/mqtt-broker.ts';
import { topicOf } from '#link/topics.ts';
import { bunPlatform } from '#platform/bun/platform.ts';
import { openFleet } from '#publisher/fleet.ts';
import { openFleetRegistry } from '#publisher/line.ts';
import { publishChannel } from '#publisher/publish.ts';
import { writeNudge } from '#wire/nudge.ts';
import type { Servers } from './parts.ts';

export const CHANNEL = 'stable';
export const REPOSITORY = 'bench/state';

export interface Nudge {
  readonly sequence: number;
  readonly payload: Uint8Array;
}

export interface Desk {
  readonly folder: string;
  /** paths relative to the channel's folder */
  write(path: string, content: string | Uint8Array, mode?: number): void;
  /** Signs and pushes what lies in the folder; when it returns, the registry has acknowledged. */
  publish(): Promise<Nudge>;
  /** Hands the nudge to the broker. @returns Unix ms just before */
  nudge(nudge: Nudge, topic?: string): number;
  /** raw public key of the channel's signer, hex */
  readonly key: string;
  close(): Promise<void>;
}

/**
 * Unix ms with microseconds, the one clock that this process, the agent and the native program
 * share: Bun's `hrtime` counts from the start of its process, `Date.now` has whole ms. What joins
 * them is where `Date.now` ticks.
 */
export function unixMs(): number {
  return ORIGIN + hrtimeMs();
}

const ORIGIN = tick();

function tick(): number {
  const first = Date.now();
  let now = first;
  while (now === first) now = Date.now();
  return now - hrtimeMs();
}

function hrtimeMs(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000;
}

/** 4 KB of text such as a configuration file holds, never the same twice. */
export function configText(): string {
  const lines = Array.from(
    { length: 100 },
    (_, index) => `setting_${String(index).padStart(3, '0')}: "${randomBytes(12).toString('hex')}"`,
  );
  return `${lines.join('\n')}\n`.slice(0, 4_095).padEnd(4_095, '#').concat('\n');
}

export async function makeDesk(
  executable: string,
  folder: string,
  { broker, registry }: Servers,
): Promise<Desk> {
  const urls = ['--registry', `http://127.0.0.1:${registry}/${REPOSITORY}`];
  const flags = ['--demo', '--no-passphrase', '--no-examples', '--channel', CHANNEL];
  const mqtt = ['--mqtt', `mqtt://127.0.0.1:${broker}`];
  execFileSync(executable, ['init', folder, ...flags, ...urls, ...mqtt], { stdio: 'pipe' });
  const platform = bunPlatform({ logLevel: 'error', logFormat: 'human' });
  const fleet = must(openFleet(platform, folder, 0));
  const open = openFleetRegistry(platform, fleet);
  const { mqtt: brokerConfig } = fleet.config;
  if (!open || !brokerConfig) throw new Error('the fleet has no registry or no broker');
  const connection = must(
    await openBroker(platform, brokerConfig, fleet.time, {
      clientId: 'bench-desk',
      version: 4,
      keepaliveSeconds: 600,
      sessionExpirySeconds: 0,
      onMessage: () => undefined,
      onClosed: () => undefined,
    }),
  );
  const topicRoot = `holdfast/v1/${fleet.root.fleet}`;
  const topic = must(topicOf(topicRoot, { kind: 'channel-nudge', channel: CHANNEL }));
  const options = {
    passphrases: async () => ({ ok: true, value: null }) as const,
    confirmRemoval: async () => true,
    renew: false,
    report: () => undefined,
  };
  return {
    folder,
    key: signerKey(join(folder, `keys/signing/${CHANNEL}.pub.pem`)),
    write(path, content, mode = 0o644) {
      const file = join(folder, 'channels', CHANNEL, path);
      mkdirSync(join(file, '..'), { recursive: true });
      writeFileSync(file, content, { mode });
    },
    async publish() {
      const target = { channel: CHANNEL, registry: open.registry };
      // Opened anew: its policy may have been edited.
      const now = must(openFleet(platform, folder, 0));
      const { head } = must(await publishChannel(platform, now, target, options));
      const { epoch, sequence, digest } = head.state.point;
      const payload = writeNudge({
        channel: CHANNEL,
        epoch,
        sequence,
        stateDigest: digest,
        manifestDigest: head.manifestDigest,
        urgent: false,
        envelope: null,
        roots: [],
        contents: [],
      });
      return { sequence: Number(sequence), payload };
    },
    nudge({ payload }, to = topic) {
      const at = unixMs();
      void connection.publish(to, payload, false);
      return at;
    },
    async close() {
      await connection.end();
      open.close();
    },
  };
}

/** The last 32 bytes of an Ed25519 SPKI are the key. */
function signerKey(file: string): string {
  const der = createPublicKey(readFileSync(file)).export({ type: 'spki', format: 'der' });
  return der.subarray(-32).toString('hex');
}

function must<T>(result: Result<T>): T {
  if (result.ok) return result.value;
  throw new Error(`${result.fault.code}: ${result.fault.message}\n${result.fault.remedy}`);
}
