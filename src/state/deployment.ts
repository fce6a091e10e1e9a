/**
 * One deployment, decoded from either dialect (Holdfast's `kind: Deployment`, Margo's
 * `kind: ApplicationDeployment`) by `wire/`. Paths, durations and references are already checked
 * for form here; whether this device allows them is `plan/` business.
 */

/** charts, installed into the owner's cluster */
export const HELM_PROFILE = 'helm';

export interface Deployment {
  readonly id: string;
  /** for people */
  readonly name: string;
  readonly dependsOn: readonly string[];
  readonly profile: Profile;
  readonly parameters: readonly Parameter[];
  readonly health: readonly HealthCheck[];
  readonly drift: 'repair' | 'report';
  readonly data: readonly DataDirectory[];
}

export type Profile =
  | {
      readonly kind: 'files';
      readonly components: readonly FilesComponent[];
      readonly reload: Hook | null;
    }
  | { readonly kind: 'process'; readonly components: readonly ProcessComponent[] }
  /** every other type: its runtime, where this agent has one, reads the properties itself */
  | {
      readonly kind: 'other';
      readonly type: string;
      readonly components: readonly OtherComponent[];
      /** `metadata.namespace` of a Margo document */
      readonly namespace?: string;
    };

/** A component of a profile that only its runtime understands. */
export interface OtherComponent {
  readonly name: string;
  /** `properties.blob`, where it names one of the statement */
  readonly blob: string | null;
  /** as written: plain YAML values, not checked for form */
  readonly properties: Readonly<Record<string, unknown>>;
}

/** One file or one directory tree at one target. */
export interface FilesComponent {
  readonly name: string;
  /** name of a blob in the statement; a tree when its media type says so */
  readonly blob: string;
  /** absolute, normalised; `${parameter}` for part of a component is filled in by the plan */
  readonly target: string;
  /** of a single file; trees carry their own. 0o644 by default */
  readonly mode: number;
  readonly owner: Owner | null;
  /** a directory that stands at the target may become a link */
  readonly adopt: boolean;
  /** written when absent, afterwards the device's own (files only) */
  readonly once: boolean;
}

export interface Owner {
  /** names or decimal ids, resolved on the device */
  readonly user: string;
  readonly group: string | null;
}

/** A supervised program. */
export interface ProcessComponent {
  readonly name: string;
  /** a file (the program) or a tree that holds it */
  readonly blob: string;
  /** command[0] is relative to the unpacked blob, or absolute; `${parameter}` is replaced in the rest */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly user: string | null;
  /** absolute, or null: the directory of the generation */
  readonly workingDirectory: string | null;
  readonly restart: { readonly backoffMs: number; readonly backoffMaxMs: number };
  readonly stop: { readonly signal: StopSignal; readonly timeoutMs: number };
  /** the check `alive` passes when the program has lived this long */
  readonly aliveForMs: number;
  readonly logs: { readonly maxBytes: number; readonly files: number };
}

export type StopSignal = 'SIGTERM' | 'SIGINT' | 'SIGQUIT' | 'SIGHUP' | 'SIGUSR1' | 'SIGUSR2';

/** A command run on the device: argv, never a shell. */
export interface Hook {
  readonly command: readonly string[];
  readonly timeoutMs: number;
}

export interface Parameter {
  readonly name: string;
  readonly value: ParameterValue;
  readonly targets: readonly ParameterTarget[];
}

export type ParameterValue =
  /** text as it reaches a program; numbers and booleans in their JSON spelling */
  | {
      readonly kind: 'literal';
      readonly text: string;
      /** as written, where that is no text: for runtimes that know types */
      readonly typed?: unknown;
    }
  | { readonly kind: 'device-id' }
  | { readonly kind: 'device-label'; readonly label: string }
  /** from the device's own channel */
  | { readonly kind: 'device-value'; readonly name: string };

/** `pointer` is the name of an environment variable, or what another runtime takes it for. */
export interface ParameterTarget {
  readonly pointer: string;
  readonly components: readonly string[];
  /** the variable holds the path of a file on tmpfs, the file the value */
  readonly as?: 'file';
}

export interface HealthCheck {
  /** unique in the deployment; "alive" is made for every process */
  readonly name: string;
  readonly probe: Probe;
  /** failures do not count before this */
  readonly startPeriodMs: number;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** failures in a row that make it unhealthy */
  readonly retries: number;
}

export type Probe =
  | { readonly kind: 'alive' }
  | { readonly kind: 'exec'; readonly command: readonly string[] }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  /** healthy: 200–399 within the timeout, or exactly `status` */
  | { readonly kind: 'http'; readonly url: string; readonly status: number | null };

/** Declared, never part of a generation, never rolled back. */
export interface DataDirectory {
  readonly path: string;
  readonly mode: number;
  readonly owner: Owner | null;
  readonly onRemove: 'keep' | 'purge';
}
