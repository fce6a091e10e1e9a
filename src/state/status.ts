/** The signed status of a device, decoded (FORMATS: Status). Shared by report, control, hub and tests. */
import type { Digest } from './digest.ts';
import type { Credential } from './enrolment.ts';
import type { Fleet } from './names.ts';

export type TimeGrade = 'estimated' | 'synchronised' | 'attested';
export type Freshness = 'unknown' | 'estimated' | 'attested';
export type Phase =
  | 'idle'
  | 'waiting'
  | 'preparing'
  | 'activating'
  | 'proving'
  | 'undoing'
  | 'stuck'
  | 'safe-mode';
export type Via = 'registry' | 'mqtt' | 'bundle' | 'margo';

export interface Status {
  readonly fleet: Fleet;
  readonly deviceId: string;
  /** (boot, report) only grows: else replayed */
  readonly boot: bigint;
  readonly report: bigint;
  readonly previousReport: Digest | null;
  readonly at: number;
  readonly timeGrade: TimeGrade;
  /** Unix ms: what time it was when a time statement last answered this device; 0: none */
  readonly attestedAt: number;
  readonly agentVersion: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly channels: readonly ChannelStatus[];
  readonly events: readonly StatusEvent[];
  readonly eventsDropped: bigint;
  readonly rootVersion: bigint;
  /** SPKI DER */
  readonly deviceKey: Uint8Array;
  /** SPKI DER, X25519: what values of this device are sealed for; empty: none was told */
  readonly sealingKey: Uint8Array;
  /** hash of the newest entry of the audit journal; null: none yet */
  readonly auditHead: Digest | null;
  /** how it shows who it is; not there: it was not enrolled */
  readonly credential?: Credential;
}

export interface ChannelStatus {
  readonly channel: string;
  /** accepted: the floor */
  readonly desired: StatusPoint | null;
  readonly applied: StatusPoint | null;
  readonly phase: Phase;
  readonly via: Via | null;
  readonly degraded: boolean;
  readonly deployments: readonly DeploymentStatus[];
  readonly refused: Refusal | null;
  readonly heldByOperator: boolean;
  readonly freshness: Freshness;
  /** a fault code, or empty */
  readonly waitingFor: string;
}

export interface StatusPoint {
  readonly epoch: bigint;
  readonly sequence: bigint;
  readonly stateDigest: Digest;
  readonly at: number;
}

export interface DeploymentStatus {
  readonly id: string;
  /** of the document */
  readonly digest: Digest;
  /** healthy, unhealthy, starting, stopped, unknown */
  readonly health: string;
  readonly code: string;
  readonly message: string;
  readonly restarts: number;
}

export interface Refusal {
  readonly code: string;
  readonly message: string;
  readonly offered: StatusPoint | null;
  readonly via: Via | null;
  readonly attack: boolean;
}

export interface StatusEvent {
  readonly number: bigint;
  readonly at: number;
  readonly code: string;
  readonly channel: string;
  readonly deployment: string;
  readonly message: string;
}
