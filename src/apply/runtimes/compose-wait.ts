/**
 * Whether containers came up: running for a second, healthy where they have a health check, or ended well
 * where they run once. One that ends with another code than 0 fails at once. Podman runs health checks by
 * systemd timers, which many devices have not: there the check is run from here, which does no harm
 * where timers run as well.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Generation } from '#state/generation.ts';
import type { WantedContainer } from './compose-container.ts';
import { type Engine, objectOf, textOf } from './compose-engine.ts';
import type { ComposeEnv } from './compose-env.ts';
import { type ContainerState, stateOf } from './compose-objects.ts';

export interface Awaited {
  readonly want: WantedContainer;
  readonly id: string;
  /** started by this activation */
  readonly fresh: boolean;
}

export type Until = 'up' | 'healthy' | 'completed';

export interface Waiting {
  readonly env: Pick<ComposeEnv, 'clock'>;
  readonly engine: Engine;
  readonly of: Pick<Generation, 'id'>;
  /** monotonic ms */
  readonly untilMs: number;
}

const LOOK_MS = 250;
/** a program that dies at once is not up */
const LIVED_MS = 1_000;

/** What is known of one container between two looks. */
interface Looking {
  readonly of: Awaited;
  readonly beganMs: number;
  runningSinceMs: number | null;
  checkedMs: number;
  failures: number;
  done: boolean;
}

export async function waitUntil(
  waiting: Waiting,
  containers: readonly Awaited[],
  until: Until,
): Promise<Result<void>> {
  const { clock } = waiting.env;
  const beganMs = clock.monotonicMs();
  const looks = containers.map((of): Looking => {
    const since = { runningSinceMs: null, checkedMs: Number.NEGATIVE_INFINITY };
    return { of, beganMs, ...since, failures: 0, done: false };
  });
  for (;;) {
    // Those that are up are looked at as well: one that ends while others are waited for is not up.
    for (const look of looks) {
      const why = look.done ? await stillUp(waiting, look) : await lookAt(waiting, look, until);
      if (!why.ok) return why;
      const late = clock.monotonicMs() >= waiting.untilMs && !look.done;
      if (late) return notUp(waiting, look.of, `not up in time: ${why.value}`);
    }
    if (looks.every(({ done }) => done)) return ok(undefined);
    await clock.sleep(LOOK_MS);
  }
}

async function stillUp(waiting: Waiting, { of }: Looking): Promise<Result<string>> {
  const seen = await stateOf(waiting.engine, of.id);
  if (!seen.ok) return seen;
  return hasFailed(of, seen.value) ? hasEnded(waiting, of, seen.value) : ok('');
}

function hasFailed({ fresh }: Awaited, state: ContainerState | null): boolean {
  if (!state) return true;
  const { status, exitCode, restarts } = state;
  return ((isOver(status) || status === 'restarting') && exitCode !== 0) || (fresh && restarts > 0);
}

function isOver(status: string): boolean {
  return status === 'exited' || status === 'dead' || status === 'stopped';
}

function hasEnded(waiting: Waiting, of: Awaited, state: ContainerState | null) {
  const reason = state ? `ended with code ${state.exitCode}` : 'its container is gone';
  return notUp(waiting, of, reason);
}

/** What it is waited for, for people. */
async function lookAt(waiting: Waiting, look: Looking, until: Until): Promise<Result<string>> {
  const { engine, env } = waiting;
  const { want, id, fresh } = look.of;
  const seen = await stateOf(engine, id);
  if (!seen.ok) return seen;
  if (!seen.value || hasFailed(look.of, seen.value)) {
    return hasEnded(waiting, look.of, seen.value);
  }
  const { status } = seen.value;
  if (isOver(status)) {
    const once = want.service.restart.name === 'no' || want.service.restart.name === 'on-failure';
    if (until !== 'healthy' && once) look.done = true;
    if (until === 'healthy') return notUp(waiting, look.of, 'ended before it was healthy');
    return ok('it ended');
  }
  if (until === 'completed') return ok('it still runs');
  const now = env.clock.monotonicMs();
  if (status !== 'running') {
    look.runningSinceMs = null;
    return ok(`it is ${status}`);
  }
  look.runningSinceMs ??= now;
  const checks = seen.value.health !== '' && want.service.health?.test?.[0] !== 'NONE';
  if (checks) return health(waiting, look, seen.value);
  const lived = !fresh || now - look.runningSinceMs >= LIVED_MS;
  if (lived) look.done = true;
  return ok('it has just started');
}

async function health(
  waiting: Waiting,
  look: Looking,
  { health: told }: ContainerState,
): Promise<Result<string>> {
  const { engine, env } = waiting;
  const { want, id } = look.of;
  if (told === 'healthy' && (engine.kind === 'docker' || !look.of.fresh)) {
    look.done = true;
    return ok('healthy');
  }
  if (engine.kind === 'docker') {
    return told === 'unhealthy'
      ? notUp(waiting, look.of, 'it is unhealthy')
      : ok('its health check');
  }
  const every = Math.min(want.service.health?.intervalMs ?? LIVED_MS, LIVED_MS * 5);
  const now = env.clock.monotonicMs();
  if (now - look.checkedMs < every) return ok('its health check');
  look.checkedMs = now;
  if (await checkNow(engine, id)) {
    look.done = true;
    return ok('healthy');
  }
  const starting = now - look.beganMs < (want.service.health?.startMs ?? 0);
  look.failures += starting ? 0 : 1;
  if (look.failures < (want.service.health?.retries ?? 3)) return ok('its health check');
  return notUp(waiting, look.of, `its health check failed ${look.failures} times`);
}

/** Runs the container's health check once. */
export async function checkNow(engine: Engine, id: string): Promise<boolean> {
  const path = `/containers/${id}/healthcheck`;
  const ran = await engine.call({ method: 'GET', path, libpod: true });
  return (
    ran.ok && ran.value.status === 200 && textOf(objectOf(ran.value.json).Status) === 'healthy'
  );
}

function notUp({ of }: Waiting, { want }: Awaited, reason: string) {
  const details = { deployment: of.id, service: want.service.name, reason };
  return refuse('compose.not-up', details);
}
