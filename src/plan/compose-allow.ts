/**
 * What a compose project wants of the device beside its containers, against what the owner lets its
 * channel do: nothing of it by default but paths below the target roots. Pure: paths come in twice
 * where a link leads elsewhere, as written and as they are.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { ComposeNeed } from '#state/compose.ts';
import type { Allow } from './allow.ts';

export interface ComposePlaces {
  /** links followed */
  real(path: string): string;
  /** the agent's own: never, whatever is allowed */
  readonly protectedPaths: readonly string[];
}

export function checkCompose(
  deployment: string,
  needs: readonly ComposeNeed[],
  allow: Allow,
  places: ComposePlaces,
): Result<undefined> {
  const grants = allow.compose?.grants ?? [];
  const paths = allow.compose?.paths ?? [];
  const allowed = [...grants, ...allow.roots.map((root) => `${root}/…`), ...paths].join(', ');
  for (const need of needs) {
    const { service } = need;
    if (need.kind === 'grant') {
      if (grants.includes(need.grant)) continue;
      const details = { deployment, service, needs: need.grant, allowed: allowed || 'nothing' };
      return refuse('compose.not-allowed', details);
    }
    const real = places.real(need.path);
    const own = places.protectedPaths.find(
      (path) => overlap(real, path) || overlap(need.path, path),
    );
    if (own !== undefined) {
      const details = { deployment, target: need.path, path: own };
      return refuse('apply.protected-path', details);
    }
    if (
      isLet(need.path, allow.roots, paths) &&
      isLet(real, allow.roots.map(places.real), paths.map(places.real))
    )
      continue;
    const details = { deployment, service, needs: `the path ${need.path}`, allowed };
    return refuse('compose.not-allowed', details);
  }
  return ok();
}

/** Strictly below a target root; a path of its own, or below it. */
function isLet(path: string, roots: readonly string[], paths: readonly string[]): boolean {
  return (
    roots.some((root) => below(path, root)) || paths.some((own) => path === own || below(path, own))
  );
}

/** One is the other, or inside it: whoever mounts what is around it has it too. */
function overlap(one: string, other: string): boolean {
  return one === other || below(one, other) || below(other, one);
}

function below(path: string, above: string): boolean {
  return path.startsWith(above.endsWith('/') ? above : `${above}/`);
}
