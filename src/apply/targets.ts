/**
 * Where states may write on this device. A target is reached from its root (the owner's
 * configuration, links followed) one component at a time, never through a link (check 17, attack
 * row D18); the agent's own files are out of reach; nobody's target is another's generation.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { Directory, Files } from '#platform/files.ts';
import type { Places } from './places.ts';

/** The folder of generations beside a target, and the prefix of hidden siblings. */
export const HIDDEN = '.holdfast';

const PARENT_MODE = 0o755;

export interface TargetRules {
  readonly files: Files;
  readonly places: Places;
  /** absolute: union of what the channels may write */
  readonly roots: readonly string[];
  /** outside of them, and to be reached all the same (left-paths.ts); default: nothing */
  readonly left?: (() => ReadonlySet<string>) | undefined;
  /** absolute: the agent's executable, configuration, root document, sockets, state */
  readonly protectedPaths: readonly string[];
  readonly clock: Pick<Clock, 'monotonicMs'>;
}

/** One name in one open directory. */
export interface Spot {
  readonly parent: Directory;
  readonly name: string;
  readonly target: string;
}

/**
 * Opens the target's parent. Null: it does not exist and `create` is false. Directories that have
 * to be made are remembered first, so that a removal for good takes them away again.
 */
export function openTarget(
  rules: TargetRules,
  id: string,
  target: string,
  create: boolean,
): Result<Spot | null> {
  const checked = checkTarget(rules, id, target);
  if (!checked.ok) return checked;
  const { root, names } = checked.value;
  const name = names.at(-1) ?? '';
  let parent = rules.files.open(root, { follow: true });
  if (!parent.ok && parent.fault.code === 'platform.missing') {
    if (!create) return ok(null);
    parent = makeRoot(rules, id, root);
  }
  if (!parent.ok) return parent;
  let at = parent.value;
  for (const component of names.slice(0, -1)) {
    const next = step(rules, { id, create }, at, component);
    at.close();
    if (!next.ok) return next;
    if (next.value === null) return ok(null);
    at = next.value;
  }
  return ok({ parent: at, name, target });
}

function step(
  { places }: TargetRules,
  { id, create }: { readonly id: string; readonly create: boolean },
  at: Directory,
  name: string,
): Result<Directory | null> {
  const opened = at.directory(name);
  if (opened.ok || opened.fault.code !== 'platform.missing') return opened;
  if (!create) return ok(null);
  const noted = places.add(id, 'made', `${at.path}/${name}`);
  if (!noted.ok) return noted;
  const made = at.directory(name, { create: PARENT_MODE });
  if (!made.ok) return made;
  const synced = at.sync();
  if (synced.ok) return made;
  made.value.close();
  return synced;
}

function makeRoot({ files, places }: TargetRules, id: string, root: string): Result<Directory> {
  const noted = places.add(id, 'made', root);
  if (!noted.ok) return noted;
  const made = files.open(root, { follow: true, create: PARENT_MODE });
  if (!made.ok) return made;
  // Several may have been made, each a name in the one above.
  for (const path of pathsAbove(root)) {
    const above = files.open(path, { follow: true });
    const synced = above.ok ? above.value.sync() : above;
    if (above.ok) above.value.close();
    if (synced.ok) continue;
    made.value.close();
    return synced;
  }
  return made;
}

/** The directories that lead to an absolute path, nearest first. */
export function pathsAbove(path: string): readonly string[] {
  const found: string[] = [];
  for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) {
    found.push(path.slice(0, at));
  }
  return [...found, '/'];
}

/** The root that holds the target and the names below it. */
function checkTarget(
  rules: TargetRules,
  id: string,
  target: string,
): Result<{ readonly root: string; readonly names: readonly string[] }> {
  const { files, roots } = rules;
  const root = [...roots]
    .sort((a, b) => b.length - a.length)
    .find((each) => target.startsWith(each.endsWith('/') ? each : `${each}/`));
  if (root === undefined && !isLeft(rules, id, target)) {
    const details = { deployment: id, target, roots: roots.join(', ') };
    return refuse('plan.target-outside-roots', details);
  }
  // Without a root of the owner's nobody vouches for a link: none is followed on the whole way.
  const from = root ?? '/';
  const names = target.slice(from.endsWith('/') ? from.length : from.length + 1).split('/');
  const hidden = names.find((name) => name === '' || name.startsWith(HIDDEN));
  if (hidden !== undefined) {
    return refuse('apply.protected-path', { deployment: id, target, path: hidden });
  }
  const real = files.realPath(target.slice(0, target.lastIndexOf('/')) || '/');
  if (!real.ok) return real;
  const at = `${real.value === '/' ? '' : real.value}/${names.at(-1) ?? ''}`;
  for (const { path, resolved } of protectedNow(rules)) {
    if (at === resolved || isBelow(at, resolved) || isBelow(resolved, at)) {
      return refuse('apply.protected-path', { deployment: id, target, path });
    }
  }
  return ok({ root: from, names });
}

function isLeft({ left, places }: TargetRules, id: string, target: string): boolean {
  if (left?.().has(target)) return true;
  // What is to go with a deployment that no state names any more.
  const noted = places.list(id);
  return noted.ok && noted.value.some(({ kind, path }) => kind === 'purge' && path === target);
}

interface Protected {
  readonly path: string;
  /** links followed */
  readonly resolved: string;
}

/** ms: only the owner moves these; a state of a thousand targets asks once */
const RESOLVED_MS = 1_000;
const resolvedPaths = new WeakMap<
  TargetRules,
  { readonly at: number; readonly paths: readonly Protected[] }
>();

function protectedNow(rules: TargetRules): readonly Protected[] {
  const now = rules.clock.monotonicMs();
  const held = resolvedPaths.get(rules);
  if (held && now - held.at < RESOLVED_MS) return held.paths;
  const paths = rules.protectedPaths.map((path) => {
    const own = rules.files.realPath(path);
    return { path, resolved: own.ok ? own.value : path };
  });
  resolvedPaths.set(rules, { at: now, paths });
  return paths;
}

function isBelow(path: string, directory: string): boolean {
  return path.startsWith(directory === '/' ? '/' : `${directory}/`);
}
