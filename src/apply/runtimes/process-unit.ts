/**
 * The supervision of one component of one generation: started or adopted, started again when it
 * ends (exponential backoff, forgotten after a stable minute), ended with its whole session.
 *
 *   idle ──start/adopt──▶ running ──exit──▶ waiting ──backoff──▶ running
 *     any ──stop──▶ stopped        any ──release──▶ released: the program runs on, nobody watches
 *
 * Starting is one at a time; a stop waits for a start under way and then ends what it made.
 */
import { ok, type Result } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { Log } from '#platform/log.ts';
import type { Child, Processes, ProcessIdentity, RunEnd } from '#platform/processes.ts';
import type { ProcessComponent } from '#state/deployment.ts';
import { type Remainder, remainderOf } from './process-end.ts';

const STABLE_MS = 60_000;
const ADOPTED_LOOK_MS = 1_500;
/** clock ticks a second in /proc: USER_HZ, 100 on every Linux this runs on */
const TICK_MS = 10;
const BACKOFF_DOUBLINGS_MAX = 20;

export interface UnitTools {
  readonly processes: Processes;
  readonly clock: Clock;
  readonly log: Log;
  /** Verifies the program's files (check 18), writes the records, starts it. */
  launch(): Promise<Result<Child>>;
  /** Ends every session of this component that is there. */
  end(left: Remainder | null): Promise<Result<void>>;
  /** Looks after the log while the program is supervised; the returned function ends that. */
  watchLog(): () => void;
  /** the state changed by itself */
  onChange(): void;
}

export interface UnitCondition {
  readonly state: 'idle' | 'running' | 'waiting' | 'stopped';
  readonly upMs: number;
  readonly restarts: number;
  readonly message: string;
}

export interface Unit {
  readonly component: ProcessComponent;
  start(): Promise<Result<void>>;
  adopt(identity: ProcessIdentity): void;
  stop(): Promise<Result<void>>;
  /** The program runs on without this agent. */
  release(): void;
  condition(): UnitCondition;
}

/** Everything that changes about one unit. */
interface Life {
  readonly deployment: string;
  readonly component: ProcessComponent;
  readonly tools: UnitTools;
  state: UnitCondition['state'];
  identity: ProcessIdentity | null;
  restarts: number;
  /** ends since the last stable minute */
  failures: number;
  message: string;
  /** stopped or released: what comes in late changes nothing */
  ended: boolean;
  starting: Promise<Result<void>>;
  /** of the timer that is set */
  cancel: () => void;
  unwatch: (() => void) | null;
}

export function supervise(deployment: string, component: ProcessComponent, tools: UnitTools): Unit {
  const life = newLife(deployment, component, tools);
  return {
    component,
    start() {
      enter(life);
      if (life.state !== 'running' && life.state !== 'waiting') life.starting = launch(life);
      return life.starting;
    },
    adopt(found) {
      enter(life);
      life.identity = found;
      life.state = 'running';
      life.cancel = tools.clock.after(ADOPTED_LOOK_MS, () => look(life, found));
      tools.log.write('info', 'program.adopted', { deployment, component: component.name });
    },
    async stop() {
      leave(life);
      await life.starting;
      const done = await tools.end(null);
      if (done.ok) {
        life.identity = null;
        life.state = 'stopped';
      }
      return done;
    },
    release: () => leave(life),
    condition: () => conditionOf(life),
  };
}

function newLife(deployment: string, component: ProcessComponent, tools: UnitTools): Life {
  return {
    deployment,
    component,
    tools,
    state: 'idle',
    identity: null,
    restarts: 0,
    failures: 0,
    message: '',
    ended: false,
    starting: Promise.resolve(ok(undefined)),
    cancel: () => {},
    unwatch: null,
  };
}

function enter(life: Life): void {
  life.ended = false;
  life.unwatch ??= life.tools.watchLog();
}

function leave(life: Life): void {
  life.ended = true;
  life.cancel();
  life.unwatch?.();
  life.unwatch = null;
}

async function launch(life: Life): Promise<Result<void>> {
  const child = await life.tools.launch();
  if (!child.ok) return child;
  const { identity, exited } = child.value;
  life.identity = identity;
  life.state = 'running';
  life.message = '';
  void exited.then((end) => {
    gone(life, identity, { why: endText(end), left: remainderOf(life.tools.processes, identity) });
  });
  return ok(undefined);
}

/** Adopted programs are nobody's children: their end is seen by looking. */
function look(life: Life, who: ProcessIdentity): void {
  if (life.ended || life.identity !== who) return;
  const { clock, processes } = life.tools;
  if (!processes.alive(who)) gone(life, who, { why: 'ended', left: null });
  else life.cancel = clock.after(ADOPTED_LOOK_MS, () => look(life, who));
}

interface Ending {
  readonly why: string;
  /** what the program left; null: only what its token finds */
  readonly left: Remainder | null;
}

function gone(life: Life, who: ProcessIdentity, ending: Ending): void {
  if (life.ended || life.identity !== who) return;
  const { deployment, component, tools } = life;
  if (upMs(life) >= STABLE_MS) life.failures = 0;
  const { why } = ending;
  tools.log.write('warn', 'program.ended', { deployment, component: component.name, why });
  life.identity = null;
  again(life, ending);
}

function again(life: Life, { why, left }: Ending): void {
  const { component, tools } = life;
  const delayMs = backoffMs(component.restart, life.failures);
  life.failures += 1;
  life.restarts += 1;
  life.state = 'waiting';
  life.message = `${component.name}: ${why}; starts again in ${Math.ceil(delayMs / 1_000)} s`;
  life.cancel = tools.clock.after(delayMs, () => {
    life.starting = relaunch(life, left);
  });
  tools.onChange();
}

async function relaunch(life: Life, left: Remainder | null): Promise<Result<void>> {
  // What the old one left may hold its port.
  const cleared = await life.tools.end(left);
  if (life.ended) return ok(undefined);
  const launched: Result<void> = cleared.ok ? await launch(life) : cleared;
  if (life.ended) return launched;
  if (launched.ok) life.tools.onChange();
  else again(life, { why: `cannot be started: ${launched.fault.message}`, left });
  return launched;
}

function upMs({ identity, tools }: Life): number {
  if (!identity) return 0;
  return Math.max(0, tools.clock.bootMs() - Number(identity.startTicks) * TICK_MS);
}

function conditionOf(life: Life): UnitCondition {
  const { state, identity, restarts, message, component, tools } = life;
  if (state !== 'running') return { state, upMs: 0, restarts, message };
  // Asked of the process table: the news of an end may still be on its way.
  if (identity && tools.processes.alive(identity)) {
    return { state, upMs: upMs(life), restarts, message };
  }
  return { state: 'waiting', upMs: 0, restarts, message: `${component.name}: ended` };
}

function backoffMs(
  { backoffMs, backoffMaxMs }: ProcessComponent['restart'],
  failures: number,
): number {
  return Math.min(backoffMaxMs, backoffMs * 2 ** Math.min(failures, BACKOFF_DOUBLINGS_MAX));
}

function endText({ code, signal }: RunEnd): string {
  return signal ? `ended by ${signal}` : `ended with code ${code ?? 'unknown'}`;
}
