/**
 * A compose project as one device runs it: compose.yaml read, variables filled in (wire/compose.ts).
 * `needs` lists what reaches beyond a container, for the owner of the device to allow or not
 * (plan/compose-allow.ts); paths of the package are relative to it.
 */
import type { Deployment } from './deployment.ts';

export const COMPOSE_PROFILE = 'compose';

/** Its activation starts something that a reboot ends: it is started again with the agent. */
export function runsPrograms({ profile }: Pick<Deployment, 'profile'>): boolean {
  return (
    profile.kind === 'process' || (profile.kind === 'other' && profile.type === COMPOSE_PROFILE)
  );
}

export interface ComposeProject {
  /** what is needed before what needs it */
  readonly services: readonly ComposeService[];
  readonly networks: readonly ComposeNetwork[];
  /** names of named volumes */
  readonly volumes: readonly string[];
  readonly needs: readonly ComposeNeed[];
}

export interface ComposeNetwork {
  readonly name: string;
  readonly internal: boolean;
  readonly subnet: string | null;
}

/** What an owner may grant in `channels[].allow.compose`. */
export const COMPOSE_GRANTS = [
  'privileged',
  'host-network',
  'host-namespaces',
  'capabilities',
  'devices',
  'security-options',
] as const;
export type ComposeGrant = (typeof COMPOSE_GRANTS)[number];

export type ComposeNeed =
  | { readonly kind: 'grant'; readonly grant: ComposeGrant; readonly service: string }
  /** a directory or file of the device, absolute and normalised */
  | { readonly kind: 'path'; readonly path: string; readonly service: string };

export interface ComposeService {
  readonly name: string;
  /** as written, variables filled in */
  readonly image: string;
  readonly replicas: number;
  readonly containerName: string | null;
  readonly command: readonly string[] | null;
  readonly entrypoint: readonly string[] | null;
  /** null: the name without a value, which is nothing here */
  readonly environment: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly ports: readonly ComposePort[];
  readonly expose: readonly string[];
  readonly mounts: readonly ComposeMount[];
  /** empty with a mode that has none */
  readonly networks: readonly ComposeAttachment[];
  readonly networkMode: 'bridge' | 'none' | 'host';
  readonly restart: { readonly name: ComposeRestart; readonly retries: number };
  readonly health: ComposeHealth | null;
  readonly dependsOn: readonly ComposeDependency[];
  readonly stopMs: number;
  /** other members of the engine's container, as its API names them */
  readonly config: Readonly<Record<string, unknown>>;
  readonly host: Readonly<Record<string, unknown>>;
}

export type ComposeRestart = 'no' | 'always' | 'unless-stopped' | 'on-failure';

export interface ComposePort {
  readonly container: number;
  readonly protocol: 'tcp' | 'udp';
  /** empty: one that the engine picks */
  readonly host: string;
  readonly address: string;
}

export type ComposeMount =
  | {
      readonly kind: 'volume';
      readonly name: string;
      readonly target: string;
      readonly readOnly: boolean;
    }
  | {
      readonly kind: 'bind';
      readonly path: string;
      readonly target: string;
      readonly readOnly: boolean;
    }
  /** a file or folder of the package, always read-only */
  | { readonly kind: 'package'; readonly path: readonly string[]; readonly target: string }
  /** the value of a variable, as a file that no disk holds */
  | {
      readonly kind: 'secret';
      readonly variable: string;
      readonly target: string;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    }
  | { readonly kind: 'tmpfs'; readonly target: string; readonly bytes: number };

export interface ComposeAttachment {
  readonly network: string;
  readonly aliases: readonly string[];
  readonly address: string | null;
}

export interface ComposeHealth {
  /** null: the image's own, with these times; ['NONE']: none */
  readonly test: readonly string[] | null;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly startMs: number;
  readonly retries: number;
}

export interface ComposeDependency {
  readonly service: string;
  readonly until: 'started' | 'healthy' | 'completed';
}

/** What fills in `${NAME}`; sealed ones may only become files (`secrets` with `environment`). */
export interface ComposeVariables {
  readonly plain: ReadonlyMap<string, string>;
  readonly sealed: ReadonlySet<string>;
}

/** An image as a device pulls it: which registry, which repository, which content. */
export interface ImageName {
  /** host[:port] */
  readonly host: string;
  readonly repository: string;
  /** null beside a digest */
  readonly tag: string | null;
  readonly digest: `sha256:${string}` | null;
}
