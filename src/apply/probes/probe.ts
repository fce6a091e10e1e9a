/** One health check executed once. Adding a kind: a file here and a line in catalogue.ts. */
import type { Generation } from '#state/generation.ts';

export interface ProbeRunner {
  readonly kind: string;
  /** `healthy`, or the reason a person reads. Ends within `timeoutMs`, whatever the peer does. */
  run(of: Generation, timeoutMs: number, signal: AbortSignal): Promise<ProbeResult>;
}

export type ProbeResult =
  | { readonly healthy: true }
  | { readonly healthy: false; readonly reason: string };
