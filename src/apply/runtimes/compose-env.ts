/** What the parts of the runtime `compose` share. */
import type { ShelfTools } from '#apply/generations.ts';
import type { Secrets } from '#apply/secrets.ts';
import type { ComposePlaces } from '#plan/compose-allow.ts';
import type { Clock } from '#platform/clock.ts';
import type { Files } from '#platform/files.ts';
import type { Log } from '#platform/log.ts';
import type { ContentStore } from '#store/content.ts';
import type { OpenEngine } from './compose-engine.ts';
import type { ComposeRecords } from './compose-record.ts';

export interface ComposeEnv {
  readonly files: Files;
  readonly clock: Clock;
  readonly log: Log;
  readonly content: Pick<ContentStore, 'openBlob' | 'dropBlob' | 'freeBytes'>;
  readonly tools: ShelfTools;
  readonly records: ComposeRecords;
  readonly engine: OpenEngine;
  readonly places: ComposePlaces;
  readonly secrets: Secrets;
  readonly runDir: string;
  /** of this agent's store: containers of another one on the same device are not touched */
  readonly storeId: string;
  /** the container was started since this machine was */
  startedHere(deployment: string, container: string): boolean;
  noteStarted(deployment: string, container: string): void;
  readonly onChange: (deployment: string) => void;
}
