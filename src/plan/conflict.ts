/**
 * What a state wants against what other channels own on this device: a deployment id, a target, a
 * path inside a target or around it, the configuration of the agent. The state that came second is
 * refused, naming both (FORMATS: Words). Pure, and linear in paths and their depth: two states of thousands of targets are fine.
 * Data directories may be shared, unless one of the two would purge it. Ports are nobody's.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Generation } from '#state/generation.ts';
import { isOwnConfiguration } from '#state/own-configuration.ts';

/** What one channel has in force here, or has accepted. */
export interface Claim {
  readonly channel: string;
  readonly generations: readonly Generation[];
}

type Use = 'target' | 'data' | 'purged data';

interface Owner {
  /** as it is told */
  readonly name: string;
  readonly use: Use;
}

/** @param real  one path by the links of the owner's target roots: two names of a place are one */
export function checkOwned(
  own: Claim,
  others: readonly Claim[],
  real: (path: string) => string = (path) => path,
): Result<undefined> {
  const byId = new Map(
    others.flatMap(({ channel, generations }) =>
      generations.map(({ id }) => [id, channel] as const),
    ),
  );
  for (const { id } of own.generations) {
    const other = byId.get(id);
    if (other !== undefined) {
      const [one, second] = [nameOf(id, other), nameOf(id, own.channel)];
      return refuse('plan.conflict', { target: `the id ${id}`, one, other: second });
    }
  }
  const twice = configuredTwice([...others, own]);
  if (twice) return twice;
  const theirs = pathsOf(others, real);
  const ours = pathsOf([own], real);
  return firstClash(ours, theirs) ?? firstClash(theirs, ours) ?? ok();
}

/** An agent has one configuration: of two channels that bring one, the first one's counts. */
function configuredTwice(claims: readonly Claim[]): Result<undefined> | null {
  const [one, other] = claims.flatMap(({ channel, generations }) =>
    generations.filter(isOwnConfiguration).map(({ id }) => nameOf(id, channel)),
  );
  if (one === undefined || other === undefined) return null;
  return refuse('plan.conflict', { target: 'the configuration of the agent', one, other });
}

function nameOf(id: string, channel: string): string {
  return `${id} (channel ${channel})`;
}

function pathsOf(
  claims: readonly Claim[],
  real: (path: string) => string,
): ReadonlyMap<string, Owner> {
  const owners = new Map<string, Owner>();
  for (const { channel, generations } of claims) {
    for (const { id, deployment } of generations) {
      const name = nameOf(id, channel);
      const { profile } = deployment;
      for (const { path, onRemove } of deployment.data) {
        const use = onRemove === 'purge' ? 'purged data' : 'data';
        // Two that share one: the one that would purge it is the one that counts.
        if (owners.get(real(path))?.use !== 'purged data') owners.set(real(path), { name, use });
      }
      if (profile.kind !== 'files') continue;
      for (const { target } of profile.components)
        owners.set(real(target), { name, use: 'target' });
    }
  }
  return owners;
}

/** A path of `inner` that is one of `outer`, or lies in one. */
function firstClash(
  inner: ReadonlyMap<string, Owner>,
  outer: ReadonlyMap<string, Owner>,
): Result<undefined> | null {
  for (const [path, owner] of inner) {
    for (let end = path.length; end > 0; end = path.lastIndexOf('/', end - 1)) {
      const other = outer.get(path.slice(0, end));
      if (other === undefined || (owner.use === 'data' && other.use === 'data')) continue;
      return refuse('plan.conflict', { target: path, one: other.name, other: owner.name });
    }
  }
  return null;
}
