/** What a device with several channels says of one of them: by its control socket, in the model's words. */
import type { Numbered } from './model.ts';

export interface FieldTold {
  readonly channel: string;
  readonly floor: Numbered | null;
  readonly applied: Numbered | null;
  readonly phase: string;
  readonly paused: boolean;
  readonly held: boolean;
  /** it is no longer followed */
  readonly orphaned: boolean;
}
