/**
 * What the models of the wide schedules are told, and when: after each act, at each start, at the
 * end, and of each request of an operator. They look at every run, not only at wide ones.
 */
import type { ControlHandlers } from '#control/api.ts';
import type { Violation } from '../model/model.ts';
import { type Operators, operators, type Request } from '../model/operators.ts';
import type { Act } from '../schedule.ts';
import type { Behaviour } from '../world/processes.ts';
import type { World } from '../world/shape.ts';
import { toldNow } from '../world/watch.ts';

export interface Watch {
  readonly operators: Operators;
  /** Recovery is over, nothing else has happened yet. */
  ready(world: World): void;
  acted(world: World, act: Act): void;
  powerCut(): void;
  ended(world: World): void;
  /** Programs and agent were stopped by the operator. */
  stopped(world: World): void;
  /** A target got the content of this text. */
  switched(text: string): void;
  /** The operator's side of the control socket. */
  wrap(world: World, handlers: ControlHandlers): ControlHandlers;
  copy(violations: Violation[]): Watch;
}

export function watch(violations: Violation[], asking = operators(violations)): Watch {
  const see = (world: World): void => {
    const told = world.running?.ready ? toldNow(world) : null;
    if (told) asking.seen(told, new Set(world.processes.living.keys()));
  };
  return {
    operators: asking,
    ready(world) {
      asking.started();
      see(world);
    },
    acted(world, act) {
      if (act === 'end-program') asking.disturbed();
      see(world);
    },
    ended: see,
    powerCut: () => asking.disturbed(),
    stopped: (world) => asking.stopped(programsOf(world).map(({ behaviour }) => behaviour.version)),
    switched: (text) => asking.switched(text),
    wrap: (world, handlers) => wrap(asking, world, handlers),
    copy: (others) => watch(others, asking.copy(others)),
  };
}

function programsOf({ processes }: World) {
  return [...processes.living.values()].filter(({ agent }) => !agent);
}

function isHelper({ version }: Behaviour): boolean {
  return version.endsWith(' helper');
}

function wrap(asking: Operators, world: World, handlers: ControlHandlers): ControlHandlers {
  const answered = (what: Request, done: boolean): void => {
    const told = toldNow(world);
    if (!told) return;
    // A helper in a session of its own is a stray to the next start, and may be ended.
    const programs = programsOf(world).filter(
      ({ behaviour }) => !behaviour.exitsAfterMs && !isHelper(behaviour),
    );
    const steady = programs.map(({ pid }) => pid);
    asking.answered(what, done, told, steady);
  };
  return {
    ...handlers,
    pause(reason) {
      asking.asked('pause');
      const done = handlers.pause(reason);
      answered('pause', done.ok);
      return done;
    },
    resume() {
      asking.asked('resume');
      const done = handlers.resume();
      answered('resume', done.ok);
      return done;
    },
    stop() {
      asking.stopping();
      return handlers.stop();
    },
    async rollback(tell) {
      asking.asked('rollback');
      const end = await handlers.rollback(tell);
      answered('rollback', end.kind === 'end' && end.result === 'rolled back to');
      return end;
    },
  };
}
