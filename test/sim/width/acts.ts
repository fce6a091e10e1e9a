/** What the acts of wide schedules do (schedule.ts), beside those of actors.ts. */
import { choice, type Do, issue, release } from '../actors.ts';
import type { World } from '../world/shape.ts';
import { edit } from './edits.ts';
import type { WideAct } from './schedule.ts';

/** ms until somebody starts what an operator had stopped */
const STARTED_AGAIN_MS = [600, 5_000, 90_000] as const;

export const WIDE: Readonly<Record<WideAct, Do>> = {
  /** `holdfast stop`: programs, then the agent; nobody starts it until somebody does. */
  stop({ world, model }, choose) {
    if (!world.running?.ready) return;
    model.excused();
    world.startsAfterMs = choose.pick(STARTED_AGAIN_MS);
    world.running.handlers.stop().catch(() => {});
  },
  /** Takes much away, and says for whom it may, or for nobody. */
  'publish-removing'(stage, choose) {
    const { sequence } = stage.world.publisher;
    const whole = choice(stage, choose);
    const keep = choose.pick(['conf', 'web', 'plc', null, null] as const);
    const gone = { conf: null, web: null, plc: null };
    const less = keep === null ? gone : { ...gone, [keep]: whole[keep] ?? stage.contents };
    const allowRemoval = choose.pick([0n, 0n, 1n, sequence, sequence + 1n]);
    const issued = issue(stage, { ...whole, ...less }, { policy: { allowRemoval } });
    release(stage, issued, choose);
    // Whether it is taken hangs on what was applied when it came: nobody waits for it.
    stage.head = null;
  },
  /** With files that people edit; what is published without them takes them away. */
  'publish-edited'(stage, choose) {
    const kept = stage.world.publisher.issued.at(-1)?.choice.edited;
    const edited = kept !== undefined && choose.oneIn(2) ? kept : stage.contents + 1;
    release(stage, issue(stage, { ...choice(stage, choose), edited }), choose);
  },
  edit,
  /** The card is put into another machine, or the board is changed. */
  'clone-card'({ world }, choose) {
    const id = Buffer.from(choose.bytes(16)).toString('hex');
    world.disk.plant('/etc/machine-id', `${id}\n`);
    cutNow(world);
  },
};

/** The power goes here and now, not before the next step. */
function cutNow({ steps, running }: World): void {
  if (running) running.life.dead = true;
  steps.struck = 'power';
}
