/** One device and everything around it: what world.ts makes and the others work on. */
import type { Assembled } from '#agent/assemble.ts';
import type { ControlHandlers } from '#control/api.ts';
import type { Fault } from '#errors/fault.ts';
import type { Http } from '#platform/http.ts';
import type { EngineKind } from '#store/engine.ts';
import type { SimBroker } from './broker.ts';
import type { CutKind, Life, Steps } from './crash.ts';
import type { Disk } from './disk.ts';
import type { Commits } from './engine.ts';
import type { Network } from './network.ts';
import type { Loss } from './power-cut.ts';
import type { ProcessTable } from './processes.ts';
import type { Publisher } from './publisher.ts';
import type { Dice } from './random.ts';
import type { SimRegistry } from './registry.ts';
import type { Timeline } from './timeline.ts';

export interface Observer {
  trace(line: string): void;
  /** the agent has started: recovery is over, nothing was asked of the network yet */
  ready(world: World): void;
  /** the agent could not start */
  failed(world: World, why: Fault): void;
  /** a broken assumption, or any other exception out of the agent */
  broke(world: World, error: unknown): void;
  cut(world: World, kind: CutKind): void;
  /** looks on at what an operator asks */
  operator?(world: World, handlers: ControlHandlers): ControlHandlers;
  /** by `holdfast stop`: the agent has ended */
  stopped?(world: World): void;
}

/** The agent that lives now. */
export interface Running {
  readonly life: Life;
  readonly assembled: Assembled;
  readonly handlers: ControlHandlers;
  ready: boolean;
  stop(): void;
  /** SIGHUP: a change that is under way ends, then the agent begins anew with what is configured now. */
  reload(): void;
}

export interface World {
  readonly time: Timeline;
  readonly dice: Dice;
  readonly steps: Steps;
  readonly disk: Disk;
  readonly processes: ProcessTable;
  readonly network: Network;
  readonly registry: SimRegistry;
  /** what registries answer; null: `registry` is the only one */
  http: ((life: Life) => Http) | null;
  readonly broker: SimBroker;
  readonly publisher: Publisher;
  readonly commits: Commits;
  readonly engine: EngineKind;
  readonly locks: Map<string, Life>;
  readonly observer: Observer;
  running: Running | null;
  /** a start is due */
  restarting: boolean;
  /** ms after which an agent that has ended is started again */
  startsAfterMs: number;
  /** what power cuts leave of what was not synced; null: as the dice say */
  loss: Loss | null;
  /** ms of the run at which this boot began */
  bootedAt: number;
  wallOffsetMs: number;
  /** cuts that struck */
  cuts: number;
  boots: number;
  /** steps that the disk had refused when this boot began */
  troublesBefore: number;
  /** an exception came out of this life of the agent */
  threw(life: Life, error: unknown): void;
  wallMs(): number;
  log(level: string, event: string, fields: Readonly<Record<string, unknown>>): void;
}
