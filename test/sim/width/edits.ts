/** Somebody edits files on the device, and sees what becomes of it (model/drift.ts). */
import type { Stage } from '../actors.ts';
import { type Kind, pathOf } from '../model/drift.ts';
import type { Dice } from '../world/random.ts';
import type { World } from '../world/shape.ts';
import { toldNow } from '../world/watch.ts';
import { pass } from '../world/world.ts';

/** ms in which the device looks at its disk twice */
const LOOKS_MS = 65_000;
/** ms that a state takes when nothing is in its way */
const ARRIVES_MS = 20_000;
const FOUND = '/srv/.holdfast/kept/found';
const TIMES = [1, 1, 2, 5] as const;

export function edit(stage: Stage, choose: Dice): void {
  const { world } = stage;
  const { drift } = stage.watch;
  const kind = choose.pick(['kept', 'kept', 'told', 'own'] as const);
  if (!world.disk.find(pathOf(kind))) {
    outside(world, () => stage.wide['publish-edited'](stage, choose));
    pass(world, { ms: ARRIVES_MS });
  }
  const times = kind === 'kept' ? choose.pick(TIMES) : 1;
  for (let time = 0; time < times; time += 1) {
    const before = calm(world);
    if (before === null || !world.disk.find(pathOf(kind))) return;
    stage.contents += 1;
    const text = `by hand ${stage.contents}\n`;
    outside(world, () => world.disk.plant(pathOf(kind), text));
    const at = world.time.now;
    const told = toldNow(world);
    if (!told) return;
    drift.edited(kind, text, told);
    pass(world, { ms: LOOKS_MS });
    // Something else happened meanwhile: another time.
    if (calm(world) !== before) {
      drift.unsure(world.time.now);
      return;
    }
    drift.hadTime({ kind, text, at, ...look(world, kind) });
  }
  if (times > 3 && choose.oneIn(2)) settle(stage);
}

/** The operator has settled who owns what. */
function settle({ world }: Stage): void {
  world.running?.handlers.resume();
}

/** Nothing that the agent does. */
function outside({ steps }: World, work: () => void): void {
  const { life } = steps;
  steps.life = null;
  work();
  steps.life = life;
}

function look(world: World, kind: Kind) {
  const text = (data: Uint8Array): string => new TextDecoder().decode(data);
  const stands = world.disk.find(pathOf(kind));
  const copies = [...(world.disk.find(FOUND)?.entries.values() ?? [])];
  const differs = world.disk.find(pathOf('told'));
  const status = world.running?.handlers.status();
  return {
    stands: stands ? text(stands.data) : undefined,
    copies: copies.map(({ data }) => text(data)),
    alsoTold: differs ? text(differs.data).startsWith('by hand') : false,
    degraded: status?.ok === true && status.value.channels.some(({ degraded }) => degraded),
  };
}

/** What stays the same while nothing happens; null: the device is busy with something. */
function calm(world: World): string | null {
  const told = world.running?.ready ? toldNow(world) : null;
  if (!told || world.running?.assembled.busy()) return null;
  if (told.phase !== 'idle' || told.paused || told.held || told.applied === null) return null;
  return `${world.boots} ${world.steps.troubles} ${told.applied.digest} ${told.floor?.digest}`;
}
