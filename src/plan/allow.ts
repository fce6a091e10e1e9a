/**
 * What the owner of the device lets a channel do (agent.yaml, channels[].allow): target roots,
 * runtimes, users. Judged on the documents alone, before any blob is fetched (check 15).
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import { COMPOSE_PROFILE, type ComposeGrant } from '#state/compose.ts';
import {
  type DataDirectory,
  type FilesComponent,
  HELM_PROFILE,
  type Owner,
  type ProcessComponent,
} from '#state/deployment.ts';
import type { Generation } from '#state/generation.ts';
import { AGENT_PROFILE } from '#state/own-configuration.ts';

export interface Allow {
  /** absolute, normalised */
  readonly roots: readonly string[];
  readonly runtimes: readonly string[];
  /** null: any but root */
  readonly users: readonly string[] | null;
  /** what programs run as when the document names no user */
  readonly defaultUser: string | null;
  /** what compose projects may have beside their containers; absent: nothing */
  readonly compose?: {
    readonly grants: readonly ComposeGrant[];
    /** absolute: of the device, beside what lies below the roots */
    readonly paths: readonly string[];
  };
}

const PACKAGED: ReadonlySet<string> = new Set([COMPOSE_PROFILE, HELM_PROFILE]);

/** Also refuses two components, of whatever deployments, that want one target. */
export function checkAllowed(generations: readonly Generation[], allow: Allow): Result<undefined> {
  const owners = new Map<string, string>();
  for (const generation of generations) {
    const checked = checkOne(generation, allow, owners);
    if (!checked.ok) return checked;
  }
  return checkNesting(owners);
}

function checkOne(
  { id, deployment }: Generation,
  allow: Allow,
  owners: Map<string, string>,
): Result<undefined> {
  const { profile } = deployment;
  const type = profile.kind === 'other' ? profile.type : profile.kind;
  if (!allow.runtimes.includes(type)) {
    const known = profile.kind !== 'other' || type === AGENT_PROFILE || PACKAGED.has(type);
    if (!known) return refuse('plan.runtime-unknown', { deployment: id, type });
    const allowed = allow.runtimes.join(', ');
    return refuse('plan.runtime-not-allowed', { deployment: id, type, allowed });
  }
  for (const directory of deployment.data) {
    const inside = checkPath(id, directory, allow);
    if (!inside.ok) return inside;
  }
  if (type === AGENT_PROFILE) return checkAlone(id, owners);
  if (profile.kind === 'other') return ok();
  for (const component of profile.components) {
    const checked =
      profile.kind === 'files'
        ? checkTarget(id, component as FilesComponent, allow, owners)
        : checkUser(id, (component as ProcessComponent).user ?? allow.defaultUser, allow);
    if (!checked.ok) return checked;
  }
  return ok();
}

/** One deployment configures the agent: two would undo each other. */
function checkAlone(id: string, owners: Map<string, string>): Result<undefined> {
  const target = 'the configuration of the agent';
  const other = owners.get(target);
  if (other !== undefined) return refuse('plan.conflict', { target, one: other, other: id });
  owners.set(target, id);
  return ok();
}

function checkPath(id: string, { path, owner }: DataDirectory, allow: Allow): Result<undefined> {
  if (!isInside(path, allow.roots)) {
    const roots = allow.roots.join(', ');
    return refuse('plan.target-outside-roots', { deployment: id, target: path, roots });
  }
  return checkOwner(id, owner, allow);
}

function checkTarget(
  id: string,
  component: FilesComponent,
  allow: Allow,
  owners: Map<string, string>,
): Result<undefined> {
  const { target } = component;
  if (!isInside(target, allow.roots)) {
    const roots = allow.roots.join(', ');
    return refuse('plan.target-outside-roots', { deployment: id, target, roots });
  }
  const other = owners.get(target);
  if (other !== undefined) return refuse('plan.conflict', { target, one: other, other: id });
  owners.set(target, id);
  return checkOwner(id, component.owner, allow);
}

/** Files may belong to root where the configuration names users only for programs. */
function checkOwner(id: string, owner: Owner | null, allow: Allow): Result<undefined> {
  if (!owner || allow.users === null || allow.users.includes(owner.user)) return ok();
  return refuse('plan.user-not-allowed', {
    deployment: id,
    user: owner.user,
    allowed: usersText(allow),
  });
}

function checkUser(id: string, user: string | null, allow: Allow): Result<undefined> {
  if (user === null) return ok();
  const root = user === 'root' || /^0+$/.test(user);
  const allowed =
    allow.users === null
      ? !root || user === allow.defaultUser
      : allow.users.includes(user) || user === allow.defaultUser;
  return allowed
    ? ok()
    : refuse('plan.user-not-allowed', { deployment: id, user, allowed: usersText(allow) });
}

function usersText({ users }: Allow): string {
  return users === null ? 'any but root' : users.join(', ');
}

/** Strictly below a root: a root itself is nobody's target. */
function isInside(path: string, roots: readonly string[]): boolean {
  return roots.some((root) => path.startsWith(root.endsWith('/') ? root : `${root}/`));
}

/** One target inside another would be two owners of one path. */
function checkNesting(owners: ReadonlyMap<string, string>): Result<undefined> {
  for (const [target, id] of owners) {
    for (
      let slash = target.lastIndexOf('/');
      slash > 0;
      slash = target.lastIndexOf('/', slash - 1)
    ) {
      const other = owners.get(target.slice(0, slash));
      if (other !== undefined) return refuse('plan.conflict', { target, one: other, other: id });
    }
  }
  return ok();
}
