/**
 * The runtime `helm`: each component a release of a chart, through the program `helm` (helm-program.ts).
 * What a release was made of stands as a mark in the description of its revision (helm-component.ts), so
 * that what is in force is read from the cluster and nothing is remembered here. A change that fails is
 * taken back by helm itself (--atomic), an undo goes back to the revision with the old mark, and what a
 * cut left pending is rolled back, or taken out where nothing was there before, at the next call.
 * Containers run in the cluster: they go on when this agent ends, and when it is gone.
 */
import { folderOf } from '#apply/folder-name.ts';
import { type Blobs, pace, stageFile } from '#apply/stage.ts';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { Directory, Files } from '#platform/files.ts';
import type { Log } from '#platform/log.ts';
import type { Processes } from '#platform/processes.ts';
import type { Generation } from '#state/generation.ts';
import type { ContentStore } from '#store/content.ts';
import {
  type Chart,
  chartsOf,
  fetchCharts,
  lockedBlobs,
  lockOwners,
  sweepLocks,
} from './helm-charts.ts';
import { type HelmRelease, markOf, releasesOf } from './helm-component.ts';
import { type HelmProgram, type HelmSettings, helmProgram, type Staged } from './helm-program.ts';
import { currentOf, type InForce } from './helm-revisions.ts';
import type { Condition, Deviation, Runtime } from './runtime.ts';

export interface HelmOptions {
  readonly files: Files;
  readonly processes: Processes;
  readonly content: Blobs & Pick<ContentStore, 'hasBlob'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly stateDir: string;
  readonly runDir: string;
  readonly storeId: string;
  /** default: the owner named no cluster */
  readonly helm?: HelmSettings;
}

interface Env {
  readonly options: HelmOptions;
  readonly settings: HelmSettings;
  readonly program: HelmProgram;
}

const CONDITION: Condition = { running: 'not-applicable', upMs: 0, restarts: 0, message: '' };
const CHART = 'chart.tgz';
const VALUES = 'values.json';

export function helmRuntime(options: HelmOptions): Runtime {
  const { helm: settings } = options;
  const env: Env | null = settings
    ? { options, settings, program: helmProgram({ ...options, settings }) }
    : null;
  const on = <T>(of: { readonly id: string }, work: (env: Env) => Promise<Result<T>>) =>
    env ? work(env) : Promise.resolve(refuse('helm.not-configured', { deployment: of.id }));
  return {
    type: 'helm',
    fetch: (next, packages) =>
      on(next, async ({ settings: rules }) => {
        const releases = releasesOf(next, rules);
        return releases.ok ? fetchCharts(options, next, releases.value, packages) : releases;
      }),
    blobs: (keep) => lockedBlobs(options, keep.filter(isHelm)),
    prepare: (next) => on(next, (own) => prepare(own, next)),
    activate: (next, previous) => on(next, (own) => activate(own, next, previous)),
    deactivate: (previous) => on(previous, (own) => deactivate(own, previous)),
    inspect: (current) => on(current, (own) => inspect(own, current)),
    keepFound: () => Promise.resolve(ok([])),
    condition: () => CONDITION,
    sweep: (id, keep) => Promise.resolve(sweepLocks(options, id, keep)),
    left: () => lockOwners(options),
  };
}

function isHelm({ deployment: { profile } }: Generation): boolean {
  return profile.kind === 'other' && profile.type === 'helm';
}

/** Helm is there, the cluster answers, and every chart renders with its values. */
async function prepare(env: Env, next: Generation): Promise<Result<void>> {
  const releases = releasesOf(next, env.settings);
  if (!releases.ok) return releases;
  const charts = chartsOf(env.options, next, releases.value);
  if (!charts.ok) return charts;
  for (const release of releases.value) {
    const chart = charts.value.get(release.component);
    if (!chart) continue;
    const known = await env.program.revisions(release);
    if (!known.ok) return known;
    const judged = await withChart(env, release, chart, async (at) => {
      const described = await env.program.describe(release, at);
      if (!described.ok) return described;
      const named = checkChart(release, described.value);
      return named.ok ? env.program.template(release, at) : named;
    });
    if (!judged.ok) return judged;
  }
  return ok(undefined);
}

/** Margo: chart API v2, and the component is called as its chart. */
function checkChart({ deployment, component }: HelmRelease, described: string): Result<void> {
  const field = (name: string) =>
    new RegExp(`^${name}:\\s*["']?([^"'\\s]+)`, 'm').exec(described)?.[1] ?? 'nothing';
  const no = (reason: string) => refuse('helm.chart', { deployment, component, reason });
  if (field('apiVersion') !== 'v2') return no(`its apiVersion is ${field('apiVersion')}, not v2`);
  if (field('type') === 'library') return no('it is a library, which installs nothing');
  return field('name') === component
    ? ok(undefined)
    : no(`the chart calls itself ${field('name')}`);
}

async function activate(
  env: Env,
  next: Generation,
  previous: Generation | null,
): Promise<Result<void>> {
  const releases = releasesOf(next, env.settings);
  if (!releases.ok) return releases;
  const charts = chartsOf(env.options, next, releases.value);
  if (!charts.ok) return charts;
  // M51: in the order of the document; each is there before the next one begins.
  for (const release of releases.value) {
    const chart = charts.value.get(release.component);
    if (!chart) continue;
    const done = await bring(env, release, chart);
    if (!done.ok) return done;
  }
  const kept = new Set(releases.value.map(({ name, namespace }) => `${namespace}/${name}`));
  const before = previous ? releasesOf(previous, env.settings) : ok([]);
  // Rules of today may not know what stood there: what is named can still be taken out.
  for (const release of (before.ok ? before.value : []).toReversed()) {
    if (kept.has(`${release.namespace}/${release.name}`)) continue;
    const gone = await takeOut(env, release);
    if (!gone.ok) return gone;
  }
  return ok(undefined);
}

/** The release with this mark in force, whatever an earlier try or a cut has left of it. */
async function bring(env: Env, release: HelmRelease, chart: Chart): Promise<Result<void>> {
  const { program, options } = env;
  const mark = markOf(release, chart.digest);
  const found = await settled(env, release);
  if (!found.ok) return found;
  if (found.value.mark === mark) return ok(undefined);
  const back = found.value.back(mark);
  if (back !== null) {
    options.log.write('info', 'helm.rollback', { release: release.name, revision: back });
    return program.rollback(release, back);
  }
  options.log.write('info', 'helm.upgrade', { release: release.name, chart: chart.digest });
  return withChart(env, release, chart, (at) => program.upgrade(release, at, mark));
}

async function deactivate(env: Env, previous: Generation): Promise<Result<void>> {
  // An owner who took a namespace away meant what is to come, not what has to go.
  const releases = releasesOf(previous, { namespaces: null });
  if (!releases.ok) return releases;
  for (const release of releases.value.toReversed()) {
    const gone = await takeOut(env, release);
    if (!gone.ok) return gone;
  }
  return ok(undefined);
}

async function takeOut({ program, options }: Env, release: HelmRelease): Promise<Result<void>> {
  const ended = await program.endLeft(release);
  if (!ended.ok) return ended;
  const found = await program.revisions(release);
  if (!found.ok) return found;
  if (currentOf(found.value).kind === 'none') return ok(undefined);
  options.log.write('info', 'helm.uninstall', { release: release.name });
  return program.uninstall(release);
}

/** Out of what a cut left: the last revision that was whole, or nothing. */
async function settled(env: Env, release: HelmRelease): Promise<Result<InForce>> {
  const { program, options } = env;
  const ended = await program.endLeft(release);
  if (!ended.ok) return ended;
  const found = await program.revisions(release);
  if (!found.ok) return found;
  const current = currentOf(found.value);
  if (current.kind !== 'pending') return ok(current);
  const { status, whole } = current;
  options.log.write('warn', 'helm.pending', { release: release.name, status });
  const out =
    whole === null ? await program.uninstall(release) : await program.rollback(release, whole);
  if (!out.ok) return out;
  const now = await program.revisions(release);
  if (!now.ok) return now;
  const after = currentOf(now.value);
  if (after.kind !== 'pending') return ok(after);
  return refuse('helm.locked', { release: release.name, status: after.status });
}

async function inspect(env: Env, current: Generation): Promise<Result<readonly Deviation[]>> {
  const { options, program } = env;
  const releases = releasesOf(current, { namespaces: null });
  if (!releases.ok) return releases;
  const charts = chartsOf(options, current, releases.value);
  if (!charts.ok) return charts;
  const found: Deviation[] = [];
  for (const release of releases.value) {
    const chart = charts.value.get(release.component);
    const revisions = await program.revisions(release);
    if (!revisions.ok) return revisions;
    const there = currentOf(revisions.value);
    const wrong = chart ? there.differs(markOf(release, chart.digest)) : null;
    if (wrong !== null) found.push({ what: release.component, found: wrong });
  }
  return ok(found);
}

/** Chart and values where helm reads them, on a file system that a reboot empties; gone afterwards. */
async function withChart<T>(
  { options }: Env,
  release: HelmRelease,
  chart: Chart,
  work: (at: Staged) => Promise<Result<T>>,
): Promise<Result<T>> {
  const { files, runDir, content, clock } = options;
  const name = folderOf(release.name);
  const path = `${runDir}/helm/stage/${name}`;
  const above = files.open(`${runDir}/helm/stage`, { create: 0o700, follow: true });
  if (!above.ok) return above;
  try {
    const cleared = above.value.removeTree(name);
    if (!cleared.ok) return cleared;
    const folder = above.value.directory(name, { create: 0o700 });
    if (!folder.ok) return folder;
    const staged = await stage(
      folder.value,
      release,
      { blobs: content, spend: pace(clock) },
      chart,
    );
    folder.value.close();
    if (!staged.ok) return staged;
    return await work({ chart: `${path}/${CHART}`, values: `${path}/${VALUES}` });
  } finally {
    above.value.removeTree(name);
    above.value.close();
  }
}

/** Check 18: the bytes are hashed while they are copied. */
async function stage(
  folder: Directory,
  { values }: HelmRelease,
  tools: Parameters<typeof stageFile>[0],
  { digest, size }: Chart,
): Promise<Result<void>> {
  const blob = { digest, size, unpackedSize: size, tree: false };
  const staged = await stageFile(tools, folder, CHART, { blob, mode: 0o600, owner: null });
  return staged.ok ? folder.write(VALUES, Buffer.from(values), 0o600) : staged;
}
