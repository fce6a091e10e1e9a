/**
 * What runs against what should: by the engine's own list and states, read anew. One look serves drift
 * (what is missing or ended), health and status.
 */
import { ok, type Result } from '#errors/fault.ts';
import type { Generation } from '#state/generation.ts';
import type { ComposeEnv } from './compose-env.ts';
import { containersOf, stateOf } from './compose-objects.ts';
import { isDone, keptOf, type Wanted } from './compose-up.ts';
import { checkNow } from './compose-wait.ts';
import type { Condition, Deviation } from './runtime.ts';

export interface Looked {
  readonly deviations: readonly Deviation[];
  readonly condition: Condition;
}

export async function lookAtAll(
  env: ComposeEnv,
  of: Pick<Generation, 'id'>,
  { engine, containers }: Wanted,
): Promise<Result<Looked>> {
  const found = await containersOf(engine, { storeId: env.storeId, id: of.id });
  if (!found.ok) return found;
  const kept = keptOf(found.value, containers);
  const deviations: Deviation[] = [];
  let [restarts, upMs, starting, sick] = [0, Number.POSITIVE_INFINITY, false, ''];
  for (const want of containers) {
    const there = kept.get(want);
    const state = there ? await stateOf(engine, there.id) : ok(null);
    if (!state.ok) return state;
    if (!there || !state.value) {
      deviations.push({ what: want.name, found: 'no container' });
      continue;
    }
    const { status, exitCode, health, startedAt } = state.value;
    restarts += state.value.restarts;
    if (status === 'restarting') starting = true;
    if (!isDone(want, state.value, env.startedHere(of.id, there.id))) {
      deviations.push({ what: want.name, found: `${status} with code ${exitCode}` });
    } else if (status === 'running') {
      upMs = Math.min(upMs, Math.max(0, env.clock.wallMs() - Date.parse(startedAt)));
      const checked = health !== '' && want.service.health?.test?.[0] !== 'NONE';
      if (checked && !(await isHealthy(engine, there.id, health))) sick ||= want.service.name;
    }
  }
  const extra = found.value.filter((one) => ![...kept.values()].includes(one));
  for (const { name } of extra) deviations.push({ what: name, found: 'not of this deployment' });
  const [first] = deviations;
  const condition: Condition = {
    running: first || sick !== '' ? 'no' : starting ? 'starting' : 'yes',
    upMs: Number.isFinite(upMs) ? upMs : 0,
    restarts,
    message: first ? `${first.what}: ${first.found}` : sick === '' ? '' : `${sick} is unhealthy`,
  };
  return ok({ deviations, condition });
}

/** Podman's own word may be old where no timers run. */
async function isHealthy(engine: Wanted['engine'], id: string, told: string): Promise<boolean> {
  if (engine.kind === 'docker') return told !== 'unhealthy';
  return checkNow(engine, id);
}
