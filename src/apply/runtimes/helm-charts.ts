/**
 * Which chart each component of a generation is, by digest. A blob of the statement says so itself; a
 * package is looked up by its tag once (packages.ts), and what it was stands in a lock file of its
 * generation, `stateDir/helm/DEPLOYMENT/HEX`, so that every later call, also after a cut and without a
 * network, means the same bytes. A lock that is damaged is an error, not a reason to look again.
 */
import { folderOf } from '#apply/folder-name.ts';
import { openOrMake } from '#apply/generations.ts';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Directory, Files } from '#platform/files.ts';
import { type Digest, hexOf, parseDigest, sha256 } from '#state/digest.ts';
import type { Generation } from '#state/generation.ts';
import type { ContentStore } from '#store/content.ts';
import { packageLayer } from '#wire/image-manifest.ts';
import type { HelmRelease } from './helm-component.ts';
import type { Packages } from './packages.ts';

export interface Chart {
  readonly digest: Digest;
  /** bytes */
  readonly size: number;
}

export interface ChartsInput {
  readonly files: Files;
  readonly content: Pick<ContentStore, 'hasBlob'>;
  readonly stateDir: string;
}

const FOLDER = 'helm';
const CHART = {
  type: 'application/vnd.cncf.helm.config.v1+json',
  layerType: 'application/vnd.cncf.helm.chart.content.v1.tar+gzip',
} as const;
/** bytes of a chart: a release of one may not have more than 1 MiB in the cluster */
const CHART_BYTES = 4 * 1024 * 1024;
const LOCK_BYTES = 64 * 1024;

/** Every package of the generation into the content store, and the lock beside it. */
export async function fetchCharts(
  input: ChartsInput,
  next: Generation,
  releases: readonly HelmRelease[],
  packages: Packages,
): Promise<Result<void>> {
  const held = readLock(input, next);
  if (!held.ok) return held;
  const locked: (readonly [string, Chart])[] = [];
  for (const { component, chart, deployment } of releases) {
    if (chart.kind === 'blob') continue;
    const { place, tag } = chart;
    const name = `${place.host}/${place.repository}:${tag}`;
    // M57: also of what is here already, so that a tag that moved is seen.
    const pinned = await packages.pinned(place, tag);
    if (!pinned.ok) return pinned;
    const known = held.value?.get(component);
    if (known && input.content.hasBlob(known.digest, known.size)) {
      locked.push([component, known]);
      continue;
    }
    const manifest = await packages.manifest(place, pinned.value);
    if (!manifest.ok) return manifest;
    const layer = packageLayer(manifest.value, name, CHART);
    if (!layer.ok) return layer;
    const { digest, size } = layer.value;
    const checked = checkSize(deployment, component, size);
    if (!checked.ok) return checked;
    const fetched = await packages.fetch(place, [{ digest, size }]);
    if (!fetched.ok) return fetched;
    locked.push([component, { digest, size }]);
  }
  return locked.length === 0 ? ok(undefined) : writeLock(input, next, locked);
}

function checkSize(deployment: string, component: string, size: number): Result<void> {
  if (size <= CHART_BYTES) return ok(undefined);
  const reason = `it has ${size} bytes, more than ${CHART_BYTES}`;
  return refuse('helm.chart', { deployment, component, reason });
}

/** By component. */
export function chartsOf(
  input: ChartsInput,
  next: Generation,
  releases: readonly HelmRelease[],
): Result<ReadonlyMap<string, Chart>> {
  const charts = new Map<string, Chart>();
  const lock = readLock(input, next);
  if (!lock.ok) return lock;
  for (const { component, chart, deployment } of releases) {
    const no = (reason: string) => refuse('helm.chart', { deployment, component, reason });
    const blob = chart.kind === 'blob' ? next.blobs.get(chart.name) : lock.value?.get(component);
    if (!blob) return no('its package was never fetched here');
    if ('tree' in blob && blob.tree) return no('its blob is a directory, not a packed chart');
    const checked = checkSize(deployment, component, blob.size);
    if (!checked.ok) return checked;
    charts.set(component, { digest: blob.digest, size: blob.size });
  }
  return ok(charts);
}

/** Blobs that locks name. */
export function lockedBlobs(input: ChartsInput, keep: readonly Generation[]): ReadonlySet<Digest> {
  const blobs = new Set<Digest>();
  for (const generation of keep) {
    const lock = readLock(input, generation);
    for (const { digest } of (lock.ok && lock.value?.values()) || []) blobs.add(digest);
  }
  return blobs;
}

export function sweepLocks(
  input: ChartsInput,
  id: string,
  keep: ReadonlySet<Digest>,
): Result<void> {
  const kept = new Set([...keep].map(hexOf));
  return inFolder<void>(input, id, { absent: undefined }, (folder) => {
    const names = folder.list();
    if (!names.ok) return names;
    for (const name of names.value) {
      if (kept.has(name)) continue;
      const removed = folder.removeTree(name);
      if (!removed.ok) return removed;
    }
    return folder.sync();
  });
}

/** Names of folders. */
export function lockOwners({ files, stateDir }: ChartsInput): Result<readonly string[]> {
  const opened = files.open(`${stateDir}/${FOLDER}`, { follow: true });
  if (!opened.ok) return opened.fault.code === 'platform.missing' ? ok([]) : opened;
  const names = opened.value.list();
  const filled: string[] = [];
  for (const name of names.ok ? names.value : []) {
    const inside = opened.value.directory(name);
    const any = inside.ok ? inside.value.list() : inside;
    if (inside.ok) inside.value.close();
    if (!any.ok || any.value.length > 0) filled.push(name);
  }
  opened.value.close();
  return names.ok ? ok(filled) : names;
}

function readLock(
  input: ChartsInput,
  { id, digest }: Generation,
): Result<ReadonlyMap<string, Chart> | null> {
  const name = hexOf(digest);
  return inFolder<ReadonlyMap<string, Chart> | null>(input, id, { absent: null }, (folder) => {
    const bytes = folder.read(name, LOCK_BYTES);
    if (!bytes.ok) return bytes.fault.code === 'platform.missing' ? ok(null) : bytes;
    const text = Buffer.from(bytes.value).toString('utf8');
    const [sum = '', ...lines] = text.split('\n');
    const body = lines.join('\n');
    const damaged = refuse('store.checksum', { key: `${FOLDER}/${folderOf(id)}/${name}` });
    if (sum !== hexOf(sha256(Buffer.from(body)))) return damaged;
    const charts = new Map<string, Chart>();
    for (const line of lines.slice(0, -1)) {
      const [component = '', size = '', found = ''] = line.split(' ');
      const of = parseDigest(found);
      if (of === null) return damaged;
      charts.set(component, { digest: of, size: Number(size) });
    }
    return ok(charts);
  });
}

function writeLock(
  input: ChartsInput,
  { id, digest }: Generation,
  locked: readonly (readonly [string, Chart])[],
): Result<void> {
  const name = hexOf(digest);
  const body = locked.map(([component, { size, digest: of }]) => `${component} ${size} ${of}\n`);
  const text = `${hexOf(sha256(Buffer.from(body.join(''))))}\n${body.join('')}`;
  return inFolder<void>(input, id, 'make', (folder) => {
    const cleared = folder.removeTree(`${name}.new`);
    if (!cleared.ok) return cleared;
    const written = folder.write(`${name}.new`, Buffer.from(text), 0o600);
    if (!written.ok) return written;
    const named = folder.rename(`${name}.new`, name);
    return named.ok ? folder.sync() : named;
  });
}

/** `absent` where there is no folder yet. */
function inFolder<T>(
  { files, stateDir }: ChartsInput,
  id: string,
  missing: 'make' | { readonly absent: T },
  work: (folder: Directory) => Result<T>,
): Result<T> {
  const opened = [files.open(stateDir, { follow: true })];
  for (const name of [FOLDER, folderOf(id)]) {
    const above = opened.at(-1);
    if (!above?.ok) break;
    opened.push(
      missing === 'make' ? openOrMake(above.value, name, 0o700) : above.value.directory(name),
    );
  }
  const last = opened.at(-1);
  const gone = last && !last.ok && last.fault.code === 'platform.missing' && missing !== 'make';
  const done = gone ? ok(missing.absent) : last?.ok ? work(last.value) : null;
  for (const each of opened) if (each.ok) each.value.close();
  if (done !== null) return done;
  return last && !last.ok
    ? last
    : refuse('platform.missing', { operation: 'open', path: stateDir });
}
