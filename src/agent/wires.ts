/** What the parts of an agent are made from, and what they tell each other while they are made. */
import type { Platform } from '#platform/platform.ts';
import type { News } from '#report/deliver.ts';
import type { StoreWriter } from '#store/store.ts';
import type { Base, ProgramVersion } from './base.ts';
import type { AgentConfig } from './config.ts';
import type { DeviceChannel } from './device-channel.ts';
import type { Follower } from './follow.ts';
import type { Line } from './line.ts';
import type { Margo } from './margo.ts';
import type { AgentRuntimes } from './runtimes.ts';
import type { Links } from './sources.ts';

/** The program that runs this agent. */
export interface Program extends ProgramVersion {
  /** absolute: no state may replace it */
  readonly executable: string;
  /** the environment that this program was started in */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Ends this run when nothing is under way, and starts anew; absent: it cannot. */
  readonly reload?: () => void;
  /** Recovery is done and the last proven state runs. */
  ready(): void;
}

/** What stands before the channels are put together. */
export interface Given {
  readonly base: Base;
  readonly platform: Platform;
  readonly config: AgentConfig;
  readonly program: Program;
  readonly links: Links;
  readonly runtimes: AgentRuntimes;
  readonly wires: Wires;
}

/** What the parts of an agent tell each other; filled in while they are made. */
export interface Wires {
  changed: (what: News) => void;
  settle: (tx: StoreWriter) => void;
  rootReplaced: () => void;
  valuesChanged: () => void;
  readonly followers: Map<string, Follower>;
  readonly lines: Map<string, Line>;
  margo?: Margo;
  device: DeviceChannel | null;
}
