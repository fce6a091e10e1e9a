/**
 * Which live processes are ours. Every program carries HOLDFAST_INSTANCE =
 * `<store>/<deployment>/<generation hex>` and HOLDFAST_COMPONENT, inherited by what it starts. A
 * record on a file system that a reboot empties names the leader of each component's session; it is
 * written before the program is started and again when its pid is known:
 *
 *   spawning             the agent was cut between the two: a leader that is found is the program
 *   running, alive       the program; it is adopted. Sessions beside it are its own helpers
 *   ending, alive        it was asked to end before the agent was cut: no longer the program
 *   running, not alive   the program has ended; what carries its token is a remainder
 *   none                 the oldest leader found is the program
 */
import { folderOf } from '#apply/folder-name.ts';
import { ok, type Result } from '#errors/fault.ts';
import type { Files } from '#platform/files.ts';
import type { Instance, Processes, ProcessIdentity } from '#platform/processes.ts';
import { type Digest, hexOf } from '#state/digest.ts';

export interface Token {
  readonly store: string;
  readonly deployment: string;
  readonly hex: string;
}

export interface PidRecord {
  readonly token: string;
  /** null: about to be started */
  readonly identity: ProcessIdentity | null;
  /** Noted before the stop signal is sent: whoever finds it alive must not count on it. */
  readonly ending: boolean;
}

export interface PidRecords {
  read(deployment: string, component: string): Result<PidRecord | null>;
  write(deployment: string, component: string, record: PidRecord): Result<void>;
  remove(deployment: string, component: string): Result<void>;
  /** @param folder  component as `list` names it */
  markEnding(deployment: string, folder: string, record: PidRecord): Result<void>;
  /** all of a deployment; `component` as `folderOf` has it */
  list(
    deployment: string,
  ): Result<readonly { readonly component: string; readonly record: PidRecord }[]>;
}

const RECORD_BYTES = 1_024;
const PART = '.part';
const FORM = /^v1 (\S+) (?:spawning|(\d{1,10}) (\d{1,20}) ([0-9a-f-]{1,64})( ending)?)\n$/;

export function tokenOf(store: string, deployment: string, generation: Digest): string {
  return `${store}/${folderOf(deployment)}/${hexOf(generation)}`;
}

/** Null for a token of another shape. */
export function readToken(text: string): Token | null {
  const [store, deployment, hex, ...rest] = text.split('/');
  if (!store || !deployment || !hex || rest.length > 0) return null;
  return /^[0-9a-f]{64}$/.test(hex) ? { store, deployment, hex } : null;
}

/** `runDir/processes/<deployment>/<component>`; no fsync: a reboot ends the programs as well. */
export function pidRecords(files: Files, runDir: string): PidRecords {
  const folder = (deployment: string) =>
    files.open(`${runDir}/processes/${folderOf(deployment)}`, { follow: true, create: 0o700 });
  const put = (deployment: string, name: string, record: PidRecord) => {
    const opened = folder(deployment);
    if (!opened.ok) return opened;
    const directory = opened.value;
    directory.unlink(PART);
    const part = directory.create(PART, 0o600);
    const wrote = part.ok ? part.value.write(format(record)) : part;
    if (part.ok) part.value.close();
    const done = wrote.ok ? directory.rename(PART, name) : wrote;
    directory.close();
    return done;
  };
  return {
    read(deployment, component) {
      const opened = folder(deployment);
      if (!opened.ok) return opened;
      const bytes = opened.value.read(folderOf(component), RECORD_BYTES);
      opened.value.close();
      if (bytes.ok) return ok(parse(bytes.value));
      return bytes.fault.code === 'platform.missing' ? ok(null) : bytes;
    },
    write: (deployment, component, record) => put(deployment, folderOf(component), record),
    markEnding: (deployment, name, record) => put(deployment, name, { ...record, ending: true }),
    remove(deployment, component) {
      const opened = folder(deployment);
      if (!opened.ok) return opened;
      const removed = opened.value.unlink(folderOf(component));
      opened.value.close();
      return !removed.ok && removed.fault.code === 'platform.missing' ? ok(undefined) : removed;
    },
    list(deployment) {
      const opened = folder(deployment);
      if (!opened.ok) return opened;
      const names = opened.value.list();
      const records: { component: string; record: PidRecord }[] = [];
      for (const name of names.ok ? names.value : []) {
        const bytes = name === PART ? null : opened.value.read(name, RECORD_BYTES);
        const record = bytes?.ok ? parse(bytes.value) : null;
        if (record) records.push({ component: name, record });
      }
      opened.value.close();
      return names.ok ? ok(records) : names;
    },
  };
}

function format({ token, identity, ending }: PidRecord): Uint8Array {
  const who = identity ? `${identity.pid} ${identity.startTicks} ${identity.bootId}` : 'spawning';
  return Buffer.from(`v1 ${token} ${who}${identity && ending ? ' ending' : ''}\n`);
}

function parse(bytes: Uint8Array): PidRecord | null {
  const [, token, pid, ticks, bootId, ending] = FORM.exec(Buffer.from(bytes).toString()) ?? [];
  if (!token) return null;
  if (!pid || !ticks || !bootId) return { token, identity: null, ending: false };
  const identity = { pid: Number(pid), startTicks: BigInt(ticks), bootId };
  return { token, identity, ending: ending !== undefined };
}

/**
 * Live processes that carry a token of this store, those of the agent's own session left out.
 * @param deployment  null: of any
 */
export function instancesOf(
  processes: Processes,
  store: string,
  deployment: string | null,
): Result<readonly (Instance & { readonly token: Token })[]> {
  const all = processes.instances();
  if (!all.ok) return all;
  const found: (Instance & { readonly token: Token })[] = [];
  const own = new Map<number, boolean>();
  for (const instance of all.value) {
    const token = readToken(instance.instance);
    if (token?.store !== store) continue;
    if (deployment !== null && token.deployment !== folderOf(deployment)) continue;
    const { session } = instance;
    const agents = own.get(session) ?? processes.session(session).includes(processes.self.pid);
    own.set(session, agents);
    if (!agents && session > 1) found.push({ ...instance, token });
  }
  return ok(found);
}

/** The program among them: see the table above. @param uid  as whom it was started */
export function programAmong(
  processes: Processes,
  found: readonly (Instance & { readonly token: Token })[],
  want: { readonly token: string; readonly component: string; readonly uid: number },
  record: PidRecord | null,
): ProcessIdentity | null {
  const { token, component, uid } = want;
  const recorded = record?.token === token ? record : null;
  if (recorded?.identity && recorded.identity.bootId === processes.bootId()) {
    const runs = processes.alive(recorded.identity) && !recorded.ending;
    return runs ? recorded.identity : null;
  }
  const leaders = found.filter(
    (each) =>
      each.instance === token &&
      each.component === component &&
      each.session === each.identity.pid &&
      each.uid === uid,
  );
  leaders.sort((a, b) => (a.identity.startTicks < b.identity.startTicks ? -1 : 1));
  return leaders[0]?.identity ?? null;
}
