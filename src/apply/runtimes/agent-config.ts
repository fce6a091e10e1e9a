/**
 * Runtime `agent`: configuration of the agent itself, as sections that stand in place of those of
 * the owner's file. The blob is kept beside the store as one file, whole or not there; the owner's
 * file is never written, it is the origin. What may stand in it is checked before anything is
 * accepted (the owner's `check`); that the agent takes it up, and goes back when it is cut off by it,
 * is the transaction's business (apply/transaction.ts, apply/control-path.ts).
 *
 * Invariant: at most one deployment's sections are in force; the file says whose.
 */

import { openOrMake } from '#apply/generations.ts';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Directory, Files } from '#platform/files.ts';
import type { Generation } from '#state/generation.ts';
import { AGENT_PROFILE } from '#state/own-configuration.ts';
import type { ContentStore } from '#store/content.ts';
import type { Condition, Runtime } from './runtime.ts';

/** below stateDir */
export const OVERLAY_FOLDER = 'agent';
export const OVERLAY_FILE = 'overlay.yaml';
export const OVERLAY_BYTES = 256 * 1024;

const MARK = /^# holdfast ([a-z0-9.-]+) (sha256:[0-9a-f]{64})\n/;
const MARK_BYTES = 256;
const NOTHING_RUNS: Condition = { running: 'not-applicable', upMs: 0, restarts: 0, message: '' };

export interface OwnConfiguration {
  /** Refuses what the agent could not be started with, and keys and paths that are the owner's. */
  check(sections: Uint8Array, deployment: string): Result<void>;
  /** Other sections lie there now. */
  changed(): void;
}

export interface AgentConfigOptions {
  readonly files: Files;
  readonly content: Pick<ContentStore, 'readBlob' | 'dropBlob'>;
  readonly stateDir: string;
  /** absent: this agent takes no configuration from states */
  readonly ownConfiguration?: OwnConfiguration;
}

export function agentConfigRuntime(options: AgentConfigOptions): Runtime {
  const { ownConfiguration } = options;
  return {
    type: AGENT_PROFILE,
    async prepare(next) {
      if (!ownConfiguration) {
        return refuse('plan.runtime-unknown', { deployment: next.id, type: AGENT_PROFILE });
      }
      const sections = sectionsOf(options, next);
      return sections.ok ? ownConfiguration.check(sections.value, next.id) : sections;
    },
    activate: async (next) => activate(options, next),
    deactivate: async (previous) => remove(options, previous.id),
    async inspect(current) {
      const sections = sectionsOf(options, current);
      if (!sections.ok) return sections;
      const held = readHeld(options);
      if (!held.ok) return held;
      const same = held.value?.equals(marked(current, sections.value)) ?? false;
      const found = held.value === null ? 'missing' : 'other bytes';
      return ok(same ? [] : [{ what: 'configuration of the agent', found }]);
    },
    keepFound: async () => ok([]),
    condition: () => NOTHING_RUNS,
    sweep: async (id, keep) => (keep.size > 0 ? ok(undefined) : remove(options, id)),
  };
}

/** Exactly one component, a file. */
function sectionsOf(
  { content }: AgentConfigOptions,
  { id, deployment, blobs }: Generation,
): Result<Uint8Array> {
  const invalid = (reason: string) => refuse('apply.config-invalid', { deployment: id, reason });
  const [component, ...more] = deployment.profile.components;
  if (!component?.blob || more.length > 0) {
    return invalid('it has one component, whose blob is a YAML file');
  }
  const blob = blobs.get(component.blob);
  if (!blob || blob.tree) return invalid('its blob is a directory, not a YAML file');
  if (blob.size > OVERLAY_BYTES) return invalid(`its blob has more than ${OVERLAY_BYTES} bytes`);
  const sections = content.readBlob(blob.digest, OVERLAY_BYTES);
  // Check 18: dropped, so that the next try fetches it.
  if (!sections.ok && sections.fault.code === 'store.blob-damaged') content.dropBlob(blob.digest);
  return sections;
}

/** The sections, after a line that says whose they are. */
function marked({ id, digest }: Generation, sections: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`# holdfast ${id} ${digest}\n`), sections]);
}

function activate(options: AgentConfigOptions, next: Generation): Result<void> {
  const sections = sectionsOf(options, next);
  if (!sections.ok) return sections;
  const held = readHeld(options);
  if (!held.ok) return held;
  const wanted = marked(next, sections.value);
  if (held.value?.equals(wanted)) return ok(undefined);
  const owner = held.value && ownerOf(held.value);
  if (owner && owner !== next.id) {
    return refuse('plan.conflict', {
      target: 'the configuration of the agent',
      one: owner,
      other: next.id,
    });
  }
  const written = inFolder(options, (folder) => {
    const cleared = folder.removeTree(`${OVERLAY_FILE}.new`);
    if (!cleared.ok) return cleared;
    const done = folder.write(`${OVERLAY_FILE}.new`, wanted, 0o600);
    if (!done.ok) return done;
    const named = folder.rename(`${OVERLAY_FILE}.new`, OVERLAY_FILE);
    return named.ok ? folder.sync() : named;
  });
  if (written.ok) options.ownConfiguration?.changed();
  return written;
}

/** The owner's file alone counts again. */
function remove(options: AgentConfigOptions, id: string): Result<void> {
  const held = readHeld(options);
  if (!held.ok) return held;
  if (held.value === null || ownerOf(held.value) !== id) return ok(undefined);
  const removed = inFolder(options, (folder) => {
    const gone = folder.removeTree(OVERLAY_FILE);
    return gone.ok ? folder.sync() : gone;
  });
  if (removed.ok) options.ownConfiguration?.changed();
  return removed;
}

function ownerOf(held: Buffer): string | null {
  return MARK.exec(held.subarray(0, MARK_BYTES).toString('latin1'))?.[1] ?? null;
}

function readHeld(options: AgentConfigOptions): Result<Buffer | null> {
  return inFolder(options, (folder) => {
    const entry = folder.stat(OVERLAY_FILE);
    if (!entry.ok) return entry;
    if (entry.value === null) return ok(null);
    // Longer than any of ours: somebody else's bytes, to be replaced.
    if (entry.value.size > OVERLAY_BYTES + MARK_BYTES) return ok(Buffer.alloc(0));
    const bytes = folder.read(OVERLAY_FILE, OVERLAY_BYTES + MARK_BYTES);
    return bytes.ok ? ok(Buffer.from(bytes.value)) : bytes;
  });
}

function inFolder<T>(
  { files, stateDir }: AgentConfigOptions,
  work: (folder: Directory) => Result<T>,
): Result<T> {
  const state = files.open(stateDir, { follow: true });
  if (!state.ok) return state;
  const folder = openOrMake(state.value, OVERLAY_FOLDER, 0o700);
  state.value.close();
  if (!folder.ok) return folder;
  const done = work(folder.value);
  folder.value.close();
  return done;
}
