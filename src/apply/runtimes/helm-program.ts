/**
 * The program `helm`, run to its end: its command lines, what it says of releases, what its failures
 * mean. Nothing of the agent's own environment reaches it; values come by file, never by argument. What
 * changes a release carries a mark in its environment, so that the next agent finds one that outlived
 * the agent which started it.
 */
import { PLAIN_ENV } from '#apply/accounts.ts';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { Files } from '#platform/files.ts';
import type { Processes, RunEnd } from '#platform/processes.ts';
import type { HelmRelease } from './helm-component.ts';

/** The owner's: agent.yaml, runtimes.helm. */
export interface HelmSettings {
  /** absolute; null: looked for in the usual places */
  readonly path: string | null;
  readonly kubeconfig: string;
  /** null: the current one of the kubeconfig */
  readonly context: string | null;
  readonly namespaces: readonly string[] | null;
}

export interface HelmProgram {
  /** It can be run, and there is a cluster to ask; nothing is asked. */
  check(): Result<string>;
  version(): Promise<Result<string>>;
  /** The cluster answers. */
  ping(): Promise<Result<void>>;
  /** Newest last; empty: no such release. */
  revisions(release: HelmRelease): Promise<Result<readonly Revision[]>>;
  /** Renders and judges; asks no cluster. */
  template(release: HelmRelease, at: Staged): Promise<Result<void>>;
  /** name and API version of a chart */
  describe(release: HelmRelease, at: Staged): Promise<Result<string>>;
  upgrade(release: HelmRelease, at: Staged, mark: string): Promise<Result<void>>;
  rollback(release: HelmRelease, revision: number): Promise<Result<void>>;
  uninstall(release: HelmRelease): Promise<Result<void>>;
  /** Ends what an agent before this one left at work on the release. */
  endLeft(release: HelmRelease): Promise<Result<void>>;
}

/** absolute paths */
export interface Staged {
  readonly chart: string;
  readonly values: string;
}

export interface Revision {
  readonly number: number;
  /** deployed, superseded, failed, uninstalled, uninstalling, pending-install, … */
  readonly status: string;
  readonly description: string;
}

export interface HelmProgramInput {
  readonly files: Pick<Files, 'open' | 'realPath'>;
  readonly processes: Processes;
  readonly clock: Clock;
  readonly runDir: string;
  readonly storeId: string;
  readonly settings: HelmSettings;
}

const USUAL = ['/usr/local/bin/helm', '/usr/bin/helm', '/snap/bin/helm', '/opt/bin/helm'];
const ASK_MS = 60_000;
/** beside the time that helm itself was given */
const GRACE_MS = 60_000;
const REASON_MAX = 400;
/** revisions that the cluster keeps */
const HISTORY = 10;
const ENDS_MS = 10_000;
const LOOK_MS = 50;
const NO_CLUSTER =
  /cluster unreachable|connection refused|no such host|no route to host|network is unreachable|i\/o timeout|TLS handshake|EOF\b|Unauthorized|etcdserver|ServiceUnavailable|the server is currently unable/;

export function helmProgram(input: HelmProgramInput): HelmProgram {
  const ask = (args: readonly string[]) => run(input, args, { timeoutMs: ASK_MS });
  const change = (release: HelmRelease, args: readonly string[], waits: number) =>
    run(input, args, { timeoutMs: release.timeoutMs * waits + GRACE_MS, release });
  return {
    check: () => check(input),
    async version() {
      const said = await ask(['version', '--short']);
      return said.ok && said.value.code === 0
        ? ok(said.value.output.trim())
        : failed(said, 'version');
    },
    async ping() {
      const end = await ask(['list', '--max', '1', '--short', '--namespace', 'default']);
      return changed({ deployment: 'this device' }, 'list', end);
    },
    revisions: (release) => revisions(release, ask),
    async template(release, { chart, values }) {
      const named = ['--namespace', release.namespace, '--values', values];
      const end = await ask(['template', release.name, chart, ...named]);
      return chartJudged(release, end);
    },
    async describe(release, { chart }) {
      const end = await ask(['show', 'chart', chart]);
      const judged = chartJudged(release, end);
      return judged.ok && end.ok ? ok(end.value.output) : (judged as Result<never>);
    },
    async upgrade(release, { chart, values }, mark) {
      const { name, namespace, wait } = release;
      const careful = wait ? ['--wait', '--atomic'] : [];
      const end = await change(
        release,
        [
          ...['upgrade', name, chart, '--install', '--namespace', namespace, '--create-namespace'],
          ...['--values', values, '--timeout', seconds(release), ...careful],
          ...['--history-max', `${HISTORY}`, '--description', mark],
        ],
        // --atomic may wait once more, for what it goes back to.
        2,
      );
      return changed(release, `upgrade ${name}`, end);
    },
    async rollback(release, revision) {
      const { name, wait } = release;
      const end = await change(
        release,
        [
          ...['rollback', name, `${revision}`, '--namespace', release.namespace],
          ...['--timeout', seconds(release), ...(wait ? ['--wait'] : [])],
          ...['--history-max', `${HISTORY}`],
        ],
        1,
      );
      return changed(release, `rollback ${name} ${revision}`, end);
    },
    async uninstall(release) {
      const { name, namespace } = release;
      const args = ['uninstall', name, '--namespace', namespace, '--wait'];
      const end = await change(release, [...args, '--timeout', seconds(release)], 1);
      return changed(release, `uninstall ${name}`, end);
    },
    endLeft: (release) => endLeft(input, release),
  };
}

function seconds({ timeoutMs }: HelmRelease): string {
  return `${Math.ceil(timeoutMs / 1_000)}s`;
}

/** The path of helm. */
function check({ files, settings }: HelmProgramInput): Result<string> {
  const { path, kubeconfig } = settings;
  const there = (file: string) => {
    const slash = file.lastIndexOf('/');
    const folder = files.open(file.slice(0, slash) || '/', { follow: true });
    if (!folder.ok) return false;
    const entry = folder.value.stat(file.slice(slash + 1));
    folder.value.close();
    return entry.ok && entry.value !== null && entry.value.kind !== 'directory';
  };
  const found = (path === null ? USUAL : [path]).find(there);
  if (found === undefined) {
    return refuse('helm.missing', { path: path ?? USUAL.join(', '), reason: 'it is not there' });
  }
  if (!there(kubeconfig)) {
    return refuse('helm.kubeconfig', { path: kubeconfig, reason: 'it is not there' });
  }
  return ok(found);
}

/** @param release  of what changes one */
async function run(
  input: HelmProgramInput,
  args: readonly string[],
  { timeoutMs, release }: { readonly timeoutMs: number; readonly release?: HelmRelease },
): Promise<Result<RunEnd>> {
  const path = check(input);
  if (!path.ok) return path;
  const { runDir, settings, processes } = input;
  const home = `${runDir}/helm/home`;
  const context = settings.context === null ? [] : ['--kube-context', settings.context];
  const env = {
    ...PLAIN_ENV,
    ...{ HOME: home, HELM_CACHE_HOME: `${home}/cache`, HELM_CONFIG_HOME: `${home}/config` },
    ...{ HELM_DATA_HOME: `${home}/data`, HELM_PLUGINS: `${home}/plugins`, HELM_DRIVER: 'secret' },
    KUBECONFIG: settings.kubeconfig,
    ...(release && {
      HOLDFAST_INSTANCE: tokenOf(input),
      HOLDFAST_COMPONENT: componentOf(release),
    }),
  };
  const command = [path.value, ...args, ...context];
  const end = await processes.run({ command, env, directory: '/' }, timeoutMs);
  if (end.ok || end.fault.code !== 'platform.exec') return end;
  return refuse('helm.missing', { path: path.value, reason: end.fault.message });
}

function tokenOf({ storeId }: Pick<HelmProgramInput, 'storeId'>): string {
  return `${storeId}/helm`;
}

function componentOf({ namespace, name }: HelmRelease): string {
  return `${namespace}/${name}`;
}

async function revisions(
  release: HelmRelease,
  ask: (args: readonly string[]) => Promise<Result<RunEnd>>,
): Promise<Result<readonly Revision[]>> {
  const { name, namespace } = release;
  // Descriptions of failures may be long, and only the end of what is said is kept.
  for (const max of [HISTORY, 2, 1]) {
    const args = ['history', name, '--namespace', namespace, '--max', `${max}`, '--output', 'json'];
    const said = await ask(args);
    if (!said.ok) return said;
    const { code, output } = said.value;
    if (code !== 0 && /release: not found/.test(output)) return ok([]);
    if (code !== 0) return changed(release, `history ${name}`, said) as Result<never>;
    const read = readHistory(output);
    if (read !== null) return ok(read);
  }
  const reason = 'its history does not read';
  return refuse('helm.failed', { deployment: release.deployment, what: `history ${name}`, reason });
}

/** The last line that is a list; warnings may stand before it. */
function readHistory(output: string): readonly Revision[] | null {
  const line = output.split('\n').findLast((text) => text.startsWith('['));
  if (line === undefined) return null;
  const found = parse(line);
  if (!Array.isArray(found)) return null;
  return found.map((one) => {
    const { revision, status, description } = (one ?? {}) as Readonly<Record<string, unknown>>;
    return { number: Number(revision), status: `${status}`, description: `${description ?? ''}` };
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Of a chart, before anything is changed: what helm says against it is final. */
function chartJudged({ deployment, component }: HelmRelease, end: Result<RunEnd>): Result<void> {
  if (!end.ok) return end;
  if (end.value.code === 0) return ok(undefined);
  return refuse('helm.chart', { deployment, component, reason: reasonOf(end.value) });
}

function changed(
  { deployment }: Pick<HelmRelease, 'deployment'>,
  what: string,
  end: Result<RunEnd>,
): Result<void> {
  if (!end.ok) return end;
  const { code, timedOut, output } = end.value;
  if (code === 0 && !timedOut) return ok(undefined);
  const reason = reasonOf(end.value);
  // A failure that names its release was the cluster's answer, whatever else it says.
  const answered = /has been rolled back|has been uninstalled|timed out waiting|deadline/.test(
    output,
  );
  if (!answered && NO_CLUSTER.test(output)) return refuse('helm.unreachable', { what, reason });
  return refuse('helm.failed', { deployment, what, reason });
}

function failed(said: Result<RunEnd>, what: string): Result<never> {
  if (!said.ok) return said;
  return refuse('helm.missing', { path: `helm ${what}`, reason: reasonOf(said.value) });
}

function reasonOf({ code, signal, timedOut, output }: RunEnd): string {
  const how = timedOut ? 'no end in its time' : `ended with ${signal ?? `code ${code}`}`;
  const last = output.trim().replaceAll(/\s+/g, ' ').slice(-REASON_MAX);
  return last === '' ? how : `${how}: ${last}`;
}

/** What is killed in the middle leaves the release pending, which the next step takes it out of. */
async function endLeft(input: HelmProgramInput, release: HelmRelease): Promise<Result<void>> {
  const { processes, clock } = input;
  const until = clock.monotonicMs() + ENDS_MS;
  for (;;) {
    const all = processes.instances();
    if (!all.ok) return all;
    const left = all.value.filter(
      ({ instance, component, uid }) =>
        instance === tokenOf(input) &&
        component === componentOf(release) &&
        uid === processes.self.uid,
    );
    if (left.length === 0) return ok(undefined);
    if (clock.monotonicMs() > until) {
      return refuse('helm.locked', { release: release.name, status: 'held by a helm that stays' });
    }
    for (const { session } of left) {
      const sent = processes.signalSession(session, 'SIGKILL');
      if (!sent.ok) return sent;
    }
    await clock.sleep(LOOK_MS);
  }
}
