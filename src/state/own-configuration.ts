/** The profile type whose one component is configuration of the agent itself, and what it touches. */
import type { Generation } from './generation.ts';

export const AGENT_PROFILE = 'agent';

export function isOwnConfiguration({ deployment: { profile } }: Pick<Generation, 'deployment'>) {
  return profile.kind === 'other' && profile.type === AGENT_PROFILE;
}

interface Touching {
  readonly kind: string;
  readonly next?: Generation;
  readonly previous?: Generation | null | undefined;
}

/** Whether steps change what the agent itself is configured by. */
export function touchesConfiguration(steps: readonly Touching[]): boolean {
  return steps.some(({ next, previous }) =>
    [next, previous].some((generation) => generation && isOwnConfiguration(generation)),
  );
}
