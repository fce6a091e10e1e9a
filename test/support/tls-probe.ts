/**
 * A program of its own, started under faketime: pulls from a registry over TLS while this process's
 * clock is wrong, and prints what came of it as one line of JSON.
 * Argument: JSON of Probe.
 */
import type { RegistryConfig } from '#link/endpoint.ts';
import { httpLink } from '#link/http.ts';
import { registry } from '#link/registry.ts';
import { bunPlatform } from '#platform/bun/platform.ts';
import { parseDigest, sha256Hasher } from '#state/digest.ts';

export interface Probe {
  readonly config: RegistryConfig;
  readonly floorMs: number;
  /** false: the clock is known to be wrong */
  readonly wallPlausible: boolean;
  readonly directory: string;
  /** a blob to pull, and its size */
  readonly blob: string;
  readonly size: number;
}

export interface Probed {
  readonly year: number;
  /** fault code of each request, or ok */
  readonly results: readonly string[];
  readonly message: string;
  /** digest of the blob that came */
  readonly digest: string;
}

async function run(probe: Probe): Promise<Probed> {
  const platform = bunPlatform({ logLevel: 'error', logFormat: 'json' });
  const { directory, floorMs, wallPlausible } = probe;
  const time = () => ({ floorMs, wallPlausible });
  const link = httpLink(platform, { idleMs: 10_000, deadClock: { directory, time } });
  const client = registry(link, probe.config);
  const results: string[] = [];
  let message = '';
  for (let round = 0; round < 3; round += 1) {
    const got = await client.getManifest('none');
    results.push(got.ok ? 'ok' : got.fault.code);
    if (!got.ok) message = got.fault.message;
  }
  const hasher = sha256Hasher();
  const digest = parseDigest(probe.blob);
  for await (const chunk of digest === null ? [] : client.blob(digest, 0, probe.size)) {
    if (chunk.kind === 'bytes') hasher.update(chunk.bytes);
    if (chunk.kind === 'failed') results.push(chunk.fault.code);
  }
  link.close();
  return { year: new Date().getUTCFullYear(), results, message, digest: hasher.digest() };
}

if (import.meta.main) {
  const probed = await run(JSON.parse(process.argv[2] ?? '{}'));
  process.stdout.write(`${JSON.stringify(probed)}\n`);
}
