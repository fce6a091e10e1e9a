/**
 * A world with a device that follows several channels, and the model that looks on. Made anew, or from
 * a moment of another one (known.ts in the core is run.ts): everything that goes on from there is data.
 */
import { type FieldModel, fieldModel } from '../model/field.ts';
import { NO_TROUBLE } from '../world/crash.ts';
import { ROOMY_BYTES } from '../world/disk.ts';
import { type Moment, momentOf } from '../world/moment.ts';
import type { Observer, World } from '../world/shape.ts';
import { CONFIG_FILE, makeWorld, ROOT_FILE } from '../world/world.ts';
import {
  type Channel,
  type DeskCopy,
  type FieldDesk,
  type FieldIssued,
  fieldDesk,
} from './desk.ts';
import { configText, type Setup, seenInField } from './device.ts';
import { type Mirror, mirrorsHttp } from './mirrors.ts';

export interface FieldStage {
  readonly world: World;
  readonly desk: FieldDesk;
  readonly model: FieldModel;
  readonly mirrors: readonly Mirror[];
  /** as agent.yaml stands now */
  setup: Setup;
  /** the newest of each channel that its publishers mean */
  readonly heads: Map<Channel, FieldIssued>;
  /** numbers of contents, each used once */
  contents: number;
  sticks: readonly { readonly path: string; readonly issued: FieldIssued }[];
  /** channels that `forget` was asked of, and has not answered */
  readonly forgetting: Set<string>;
  /** somebody has found a way around what a state in force has cut off */
  mended: boolean;
  /** the network itself is parted */
  parted: boolean;
  /** how often the way to the control plane went or came */
  partings: number;
  /** steps after a start at which the next cut strikes */
  readonly cutsAfterStart: number[];
}

type Plain = Pick<FieldStage, 'setup' | 'contents' | 'mended' | 'parted'>;

/** What is known of a run in the field at a moment of it. */
export interface FieldKnown {
  readonly moment: Moment;
  readonly desk: DeskCopy;
  readonly model: FieldModel;
  readonly mirrors: readonly Mirror[];
  readonly heads: ReadonlyMap<Channel, FieldIssued>;
  readonly sticks: FieldStage['sticks'];
  readonly forgetting: readonly string[];
  readonly plain: Plain;
}

export function fieldKnown(stage: FieldStage): FieldKnown {
  const { world, desk, model, mirrors, heads, sticks, forgetting } = stage;
  const { setup, contents, mended, parted } = stage;
  return {
    ...{ moment: momentOf(world), desk: desk.copy(), model: model.copy() },
    ...{ mirrors: mirrors.map((mirror) => ({ ...mirror })), heads: new Map(heads) },
    ...{ sticks, forgetting: [...forgetting] },
    plain: { setup, contents, mended, parted },
  };
}

/** @param from  how the device is set up, or where it goes on from */
export function fieldStage(
  seed: number | string,
  line: (text: string) => void,
  from: Setup | FieldKnown,
): FieldStage {
  const known = 'moment' in from ? from : null;
  const setup = 'moment' in from ? from.plain.setup : from;
  const world = makeWorld(
    seed,
    observerOf(() => stage, line),
    known?.moment,
  );
  const { disk, registry, broker, network } = world;
  const stage: FieldStage = {
    world,
    desk: fieldDesk(registry, broker, known?.desk),
    model: known?.model.copy() ?? fieldModel(),
    mirrors:
      known?.mirrors.map((mirror) => ({ ...mirror })) ??
      Array.from({ length: setup.mirrors }, () => ({ mood: 'good', behind: null })),
    setup,
    heads: new Map(known?.heads),
    contents: known?.plain.contents ?? 0,
    sticks: known?.sticks ?? [],
    forgetting: new Set(known?.forgetting),
    mended: known?.plain.mended ?? false,
    parted: known?.plain.parted ?? false,
    partings: 0,
    cutsAfterStart: [],
  };
  world.http = mirrorsHttp({
    ...{ origin: registry, network, mirrors: stage.mirrors },
    asked(digest) {
      const having = stage.desk.issued.filter(({ alone }) => alone.some((one) => one === digest));
      if (having.length === 0) return;
      tellClock(stage);
      stage.model.timing.fetched(having);
    },
  });
  watchTargets(stage);
  if (known) return stage;
  disk.plant(ROOT_FILE, stage.desk.rootFile);
  disk.plant(CONFIG_FILE, configText(setup));
  return stage;
}

export function tellClock({ world, model }: FieldStage): void {
  const wallMs = world.wallMs();
  // A device of 2026 believes no clock of 1970, and none ten years ahead.
  const year = new Date(wallMs).getUTCFullYear();
  model.timing.clock({ at: world.time.now, wallMs, plausible: year >= 2026 && year < 2036 });
}

function watchTargets(stage: FieldStage): void {
  const { world, model } = stage;
  const { nodes } = world.disk;
  const { rename } = nodes;
  nodes.rename = (changes) => {
    rename(changes);
    for (const { name, to } of changes) {
      if (name !== 'b.conf' || world.steps.life === null) continue;
      tellClock(stage);
      if (to?.kind === 'file') model.switched(new TextDecoder().decode(to.data));
      // What is taken away again, because nothing was there before, cuts nobody off any more.
      weather(stage);
    }
  };
}

/** Whether a state that keeps the device from its control plane stands at a target. */
function isSevered({ world, desk }: FieldStage): boolean {
  return ['machine', 'line', 'site'].some((place) => {
    const found = world.disk.find(`/opt/${place}/b.conf`);
    const text = found ? new TextDecoder().decode(found.data) : '';
    return desk.issued.some(({ mark, severs }) => severs && mark === text);
  });
}

/** Whether the control plane is in reach, by all that there is between. */
export function weather(stage: FieldStage): void {
  const { world, model, mirrors } = stage;
  const { network } = world;
  const severed = isSevered(stage);
  if (!severed) stage.mended = false;
  const parted = (severed && !stage.mended) || stage.parted;
  if (network.weather.parted !== parted) {
    stage.partings += 1;
    network.part(parted);
  }
  tellClock(stage);
  const clean = network.weather.troubleOneIn === 0 && mirrors.every(({ mood }) => mood === 'good');
  model.timing.reach(!parted, clean);
}

function observerOf(stage: () => FieldStage, line: (text: string) => void): Observer {
  return {
    trace: line,
    ready(world) {
      const at = stage();
      tellClock(at);
      const seen = seenInField(world);
      line(`ready ${seen?.told.map(({ channel, phase }) => `${channel} ${phase}`).join(', ')}`);
      const followed = world.running?.assembled.lines.map(({ channel }) => channel) ?? [];
      if (seen) at.model.ready(seen, followed, isSound(world));
    },
    failed(world, why) {
      line(`failed to start: ${why.code}: ${why.message}`);
      stage().model.failedToStart(why.code, isSound(world));
    },
    broke(_world, error) {
      line(`broke: ${error instanceof Error ? error.stack : String(error)}`);
      stage().model.broke(error instanceof Error ? error.message : String(error));
    },
    cut(world, kind) {
      line(`fell by ${kind}`);
      const at = stage();
      if (kind === 'power') at.model.timing.powerCut();
      // What stands at the targets now may be of another state than a moment ago.
      weather(at);
      world.steps.cancelCut();
      const next = at.cutsAfterStart.shift();
      const again = world.dice.split(`again ${world.cuts}`);
      const how = again.oneIn(2) ? 'kill' : 'power';
      if (next !== undefined) world.steps.cutAt(world.steps.count + next, how);
    },
  };
}

/** No trouble of the disk that the agent could meet. */
function isSound({ steps, disk, troublesBefore }: World): boolean {
  const none = steps.trouble === NO_TROUBLE && steps.troubles === troublesBefore;
  return none && disk.capacity >= ROOMY_BYTES;
}

/** Null: no agent is there. True: nothing is under way in it. */
export function stillNow({ running }: World): boolean | null {
  return running?.ready ? !running.assembled.busy() : null;
}

/** The model looks at what there is. */
export function lookNow(stage: FieldStage): void {
  const { world, model } = stage;
  if (!world.running?.ready) return;
  tellClock(stage);
  const seen = seenInField(world);
  const still = stillNow(world) === true && seen?.told.every(({ phase }) => SETTLED.has(phase));
  if (seen) model.looked(seen, still === true && isSound(world));
}

const SETTLED: ReadonlySet<string> = new Set(['idle', 'waiting']);
