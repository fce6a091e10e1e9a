/**
 * What command line and agent say to each other over two unix sockets: `control.sock` (0660) has
 * every route, `status.sock` (0666 unless configured) only the reading ones. JSON; u64 as text,
 * digests as `sha256:…`, times as Unix ms. Routes and fields are fixed in docs/formats.md.
 */
import type { Fault, Result } from '#errors/fault.ts';

export const ROUTES = {
  status: { method: 'GET', path: '/v1/status', reading: true },
  explain: { method: 'GET', path: '/v1/explain', reading: true },
  history: { method: 'GET', path: '/v1/history', reading: true },
  events: { method: 'GET', path: '/v1/events', reading: true },
  plan: { method: 'GET', path: '/v1/plan', reading: false },
  bundles: { method: 'GET', path: '/v1/bundles', reading: false },
  logs: { method: 'GET', path: '/v1/logs', reading: false },
  audit: { method: 'GET', path: '/v1/audit', reading: false },
  auditFile: { method: 'GET', path: '/v1/audit/file', reading: false },
  apply: { method: 'POST', path: '/v1/apply', reading: false },
  time: { method: 'POST', path: '/v1/time', reading: false },
  timeAsk: { method: 'POST', path: '/v1/time/ask', reading: false },
  rollback: { method: 'POST', path: '/v1/rollback', reading: false },
  pause: { method: 'POST', path: '/v1/pause', reading: false },
  resume: { method: 'POST', path: '/v1/resume', reading: false },
  stop: { method: 'POST', path: '/v1/stop', reading: false },
  forget: { method: 'POST', path: '/v1/forget', reading: false },
} as const;

export type Route = keyof typeof ROUTES;

export interface PointView {
  /** `1.57` */
  readonly point: string;
  readonly epoch: string;
  readonly sequence: string;
  readonly stateDigest: string;
  readonly at: number;
}

export interface FaultView {
  readonly code: string;
  readonly message: string;
  readonly remedy: string;
}

export interface DeploymentView {
  readonly id: string;
  readonly digest: string;
  readonly health: string;
  readonly code: string;
  readonly message: string;
  readonly restarts: number;
}

export interface ChannelView {
  readonly channel: string;
  readonly desired: PointView | null;
  readonly applied: PointView | null;
  readonly phase: string;
  readonly via: string | null;
  readonly degraded: boolean;
  readonly heldByOperator: boolean;
  readonly paused: boolean;
  readonly freshness: string;
  readonly waitingFor: FaultView | null;
  readonly refused:
    | (FaultView & { readonly offered: string | null; readonly attack: boolean })
    | null;
  readonly deployments: readonly DeploymentView[];
}

export interface StatusView {
  readonly device: {
    readonly id: string;
    readonly fleet: string;
    readonly labels: Readonly<Record<string, string>>;
    /** SPKI, base64 */
    readonly key: string;
    readonly boot: string;
    readonly timeGrade: string;
    /** ms since a time statement answered this device; null: none has */
    readonly attestedAgoMs: number | null;
    /** of the root held: it follows the chain */
    readonly rootVersion: string;
  };
  readonly agent: {
    readonly version: string;
    readonly pid: number;
    readonly upMs: number;
    readonly ready: boolean;
    /** where its configuration is from: the owner's file, and the sections that a state brought */
    readonly configuration?: { readonly file: string; readonly fromState: readonly string[] };
  };
  readonly channels: readonly ChannelView[];
  /** how this device shows who it is; null: it was not enrolled */
  readonly credential: CredentialView | null;
  readonly mqtt: {
    readonly state: string;
    readonly protocol: string;
    readonly fault: FaultView | null;
  } | null;
  /** in the order in which they are asked */
  readonly registries: readonly RegistryView[];
  readonly lastLook: LookView | null;
  readonly nextLookInMs: number | null;
  readonly undeliveredEvents: number;
  /** in the watched directories; absent: an agent of an earlier version */
  readonly bundles?: readonly BundleView[];
}

/** What lies in a watched directory, and what became of it. */
export interface BundleView {
  readonly path: string;
  /** `offered`: it waits for a person (`bundles.consent: ask`) */
  readonly state:
    | 'copying'
    | 'reading'
    | 'offered'
    | 'applied'
    | 'current'
    | 'refused'
    | 'waiting'
    | 'nothing';
  /** empty: not known */
  readonly channel: string;
  readonly point: string | null;
  /** of an offered one */
  readonly plan: PlanView | null;
  /** what it offers to other channels of this device: all of it is applied together */
  readonly more: readonly Pick<BundleView, 'channel' | 'point' | 'plan'>[];
  readonly fault: FaultView | null;
  /** null: when it changes */
  readonly nextReadMs: number | null;
}

export interface RegistryView {
  /** host and repository */
  readonly name: string;
  /** not-asked, answers, lags, fails */
  readonly state: string;
  readonly fault: FaultView | null;
  /** Unix ms; null: not in this run */
  readonly askedAt: number | null;
  /** ms until it is asked before others again */
  readonly restsForMs: number;
  /** behind: null, or how far */
  readonly channels: readonly {
    readonly channel: string;
    readonly shows: string;
    readonly behind: string | null;
  }[];
}

export interface CredentialView {
  readonly kind: string;
  /** Unix ms; 0: not known */
  readonly notAfter: number;
  /** sha256:… of the certificate or token */
  readonly fingerprint: string;
}

export interface LookView {
  readonly at: number;
  readonly wake: string;
  readonly source: string;
  readonly result: string;
  readonly fault: FaultView | null;
}

/** Why the agent acts or does not act now. */
export interface ExplainView {
  readonly verdict: string;
  readonly cure: string | null;
  readonly channel: string;
  readonly look: LookView | null;
  readonly checks: readonly CheckView[];
  readonly facts: readonly { readonly name: string; readonly value: string }[];
  /** what is wrong besides; absent: an agent of an earlier version */
  readonly also?: readonly AlsoView[];
}

export interface AlsoView {
  readonly verdict: string;
  readonly cure: string;
}

export interface CheckView {
  readonly number: number;
  readonly name: string;
  readonly passed: boolean;
  readonly compared: string;
  readonly at: number;
}

export interface HistoryView {
  readonly number: string;
  readonly at: number;
  readonly channel: string;
  readonly outcome: string;
  readonly point: string | null;
  readonly via: string | null;
  readonly code: string | null;
  readonly message: string;
  readonly tookMs: number;
  /** of a part of the state: its deployments; absent: of all of it */
  readonly deployment?: string;
}

/** What happened here, oldest first. */
export interface EventsView {
  /** number of the newest one: `after` of the next question */
  readonly last: string;
  readonly events: readonly EventView[];
}

export interface EventView {
  /** empty: from before this run, as the history has it */
  readonly number: string;
  readonly at: number;
  readonly code: string;
  readonly channel: string;
  readonly deployment: string;
  readonly message: string;
}

/** What a person carries to a time authority. */
export interface QuestionView {
  readonly device: string;
  /** hex */
  readonly nonce: string;
}

/** A time statement that counts. */
export interface TimeTakenView {
  /** it answered this device's question; else it is a lower bound */
  readonly attested: boolean;
  /** Unix ms; 0: it was known */
  readonly at: number;
}

/** A channel that was no longer followed, and the deployments taken away with it. */
export interface ForgottenView {
  readonly channel: string;
  readonly removed: readonly string[];
}

/** One entry of the audit journal. */
export interface AuditEntryView {
  readonly number: string;
  readonly at: number;
  readonly grade: string;
  readonly boot: string;
  readonly kind: string;
  readonly actor: string;
  readonly channel: string;
  readonly point: string | null;
  readonly stateDigest: string | null;
  readonly via: string | null;
  readonly code: string | null;
  readonly message: string;
}

/** What the next state would change, restart and download. */
export interface PlanView {
  readonly result: string;
  readonly offered: string | null;
  readonly applied: string | null;
  readonly fault: FaultView | null;
  readonly steps: readonly {
    readonly action: 'install' | 'update' | 'remove';
    readonly deployment: string;
    readonly runtime: string;
    readonly restarts: boolean;
    readonly targets: readonly string[];
  }[];
  readonly unchanged: number;
  readonly downloads: { readonly blobs: number; readonly bytes: number };
  /** why it would not begin now: its place in the spread, a window; null: it would */
  readonly waits: FaultView | null;
}

/** Lines of `apply`, `rollback`: progress, then one end. */
export type ProgressLine =
  | {
      readonly kind: 'progress';
      readonly phase: string;
      readonly what: string;
      readonly done: number;
      readonly total: number;
    }
  | {
      readonly kind: 'end';
      readonly result: string;
      readonly offered: string | null;
      readonly tookMs: number | null;
      readonly fault: FaultView | null;
      /** what came of each channel, where several had something to say */
      readonly channels?: readonly {
        readonly channel: string;
        readonly result: string;
        readonly offered: string | null;
        readonly tookMs: number | null;
        readonly fault: FaultView | null;
      }[];
    };

/** The agent's side. */
export interface ControlHandlers {
  status(): Result<StatusView>;
  /** @param channel  null or absent: the first that has something to say; so below: all, or the only one */
  explain(channel?: string | null): Result<ExplainView>;
  history(limit: number): Result<readonly HistoryView[]>;
  /** @param after  only what has a higher number */
  events(after: bigint): Result<EventsView>;
  /** newest first */
  audit(limit: number): Result<readonly AuditEntryView[]>;
  /** bytes of an AuditFile; null: the journal without the evidence of a change */
  auditFile(change: string | null): Result<Uint8Array>;
  plan(signal: AbortSignal, channel?: string | null): Promise<Result<PlanView>>;
  /** what lies in the watched directories; what is offered is inspected anew */
  bundles(signal: AbortSignal): Promise<Result<readonly BundleView[]>>;
  /** lines of a program's log, the last `lines`, then what follows when `follow` */
  logs(query: LogsQuery, signal: AbortSignal): Result<AsyncIterable<Uint8Array>>;
  /** @param now  neither spread nor window holds it up, where agent.yaml lets an operator do that */
  apply(
    bundle: string | null,
    tell: (line: ProgressLine) => void,
    now?: boolean,
  ): Promise<ProgressLine>;
  rollback(tell: (line: ProgressLine) => void, channel?: string | null): Promise<ProgressLine>;
  /** @param statement  DSSE JSON */
  time(statement: string): Result<TimeTakenView>;
  timeAsk(): Result<QuestionView>;
  pause(reason: string, channel?: string | null): Result<void>;
  resume(channel?: string | null): Result<void>;
  /** Takes away what a channel left here that is no longer followed. */
  forget(channel: string): Promise<Result<ForgottenView>>;
  /** Stops programs in reverse order, then the agent. */
  stop(): Promise<Result<void>>;
}

export interface LogsQuery {
  readonly deployment: string;
  readonly component: string | null;
  readonly lines: number;
  readonly follow: boolean;
}

export function faultView({ code, message, remedy }: Fault): FaultView {
  return { code, message, remedy };
}
