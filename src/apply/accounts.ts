/** Users on this device: who owns a file, and as whom a program or hook runs. */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Processes } from '#platform/processes.ts';
import type { Owner } from '#state/deployment.ts';
import type { Ownership } from './stage.ts';

export interface RunRules {
  /** for components that name no user; null: the user of the agent */
  readonly defaultUser: string | null;
  /** the owner's configuration lets programs and hooks run as root */
  readonly allowRoot: boolean;
}

/** Null stays null: whoever the agent runs as. */
export function ownership(processes: Processes, owner: Owner | null): Result<Ownership | null> {
  return owner ? processes.user(owner.user, owner.group) : ok(null);
}

/** Null: as the agent itself. `apply.root-denied`, `apply.user-denied`, `platform.no-user` */
export function accountOf(
  processes: Processes,
  rules: RunRules,
  who: { readonly deployment: string; readonly component: string; readonly user: string | null },
): Result<Ownership | null> {
  const { deployment, component } = who;
  const name = who.user ?? rules.defaultUser;
  const found = name === null ? ok(null) : processes.user(name, null);
  if (!found.ok) return found;
  const { uid: own, becomesOthers } = processes.self;
  const uid = found.value?.uid ?? own;
  if (uid === 0 && !rules.allowRoot) return refuse('apply.root-denied', { deployment, component });
  if (own !== 0 && uid === own) return ok(null);
  if (becomesOthers) return found;
  return refuse('apply.user-denied', { deployment, component, user: name ?? '', uid: own });
}

/** What hooks and probes get: nothing of the agent's own environment. */
export const PLAIN_ENV: Readonly<Record<string, string>> = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LANG: 'C.UTF-8',
};
