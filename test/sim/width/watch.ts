/**
 * What the models of the wide schedules are told, and when: after each act, at each start, at the
 * end, and of each request of an operator. They look at every run, not only at wide ones.
 */
import type { ControlHandlers } from '#control/api.ts';
import { type Drifting, drifting } from '../model/drift.ts';
import { type Identities, identities } from '../model/identity.ts';
import type { Violation } from '../model/model.ts';
import { type Operators, operators, type Request } from '../model/operators.ts';
import { type Removals, removals } from '../model/removals.ts';
import { seenOn } from '../model/seen.ts';
import type { Act } from '../schedule.ts';
import type { Behaviour } from '../world/processes.ts';
import type { World } from '../world/shape.ts';
import { toldNow } from '../world/watch.ts';

interface Models {
  readonly operators: Operators;
  readonly removals: Removals;
  readonly identities: Identities;
  readonly drift: Drifting;
}

export interface Watch {
  /** told by who edits (edits.ts) */
  readonly drift: Drifting;
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

export function watch(violations: Violation[], known?: Models): Watch {
  const models: Models = known ?? {
    operators: operators(violations),
    removals: removals(violations),
    identities: identities(violations),
    drift: drifting(violations),
  };
  const asking = models.operators;
  const see = (world: World): void => {
    const told = world.running?.ready ? toldNow(world) : null;
    if (!told) return;
    asking.seen(told, new Set(world.processes.living.keys()));
    seeApplied(models.removals, world);
    models.drift.seen(seenOn(world.disk.root, '/srv', []).files, told);
  };
  return {
    drift: models.drift,
    ready(world) {
      asking.started();
      models.drift.forgiven(world.time.now);
      seeIdentity(models.identities, world);
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
    wrap: (world, handlers) => wrap(models, world, handlers),
    copy: (others) =>
      watch(others, {
        operators: asking.copy(others),
        removals: models.removals.copy(others),
        identities: models.identities.copy(others),
        drift: models.drift.copy(others),
      }),
  };
}

const APPLIED: ReadonlySet<string> = new Set(['applied', 'rolled-back']);
const EDITED = ['kept', 'told', 'own'] as const;
const HISTORY_ROWS = 100;

function seeApplied(model: Removals, world: World): void {
  for (const { epoch, sequence, choice, valid, allowRemoval } of world.publisher.issued) {
    if (!valid) continue;
    const core = (['conf', 'web', 'plc'] as const).filter((id) => choice[id] !== null);
    const ids = [...core, ...(choice.edited === undefined ? [] : EDITED)];
    model.published({ epoch, sequence, ids, allowRemoval });
  }
  const rows = world.running?.handlers.history(HISTORY_ROWS);
  if (!rows?.ok) return;
  model.seen(
    rows.value.flatMap(({ number, outcome, point }) =>
      point && APPLIED.has(outcome)
        ? [{ number: BigInt(number), point, back: outcome === 'rolled-back' }]
        : [],
    ),
  );
}

function seeIdentity(model: Identities, world: World): void {
  const status = world.running?.handlers.status();
  const machine = world.disk.find('/etc/machine-id');
  if (status?.ok && machine) model.seen(`${machine.data}`, status.value.device.key);
}

function programsOf({ processes }: World) {
  return [...processes.living.values()].filter(({ agent }) => !agent);
}

function isHelper({ version }: Behaviour): boolean {
  return version.endsWith(' helper');
}

function wrap(models: Models, world: World, handlers: ControlHandlers): ControlHandlers {
  const asking = models.operators;
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
      models.drift.forgiven(world.time.now);
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
      models.drift.changed();
      const end = await handlers.rollback(tell);
      answered('rollback', end.kind === 'end' && end.result === 'rolled back to');
      return end;
    },
  };
}
