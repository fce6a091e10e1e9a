/**
 * Blobs from sources into the content store (check 16): capped at the signed size, hashed while they
 * stream, gone on with after a cut or a restart of the agent. What lies in the part from before is
 * hashed again when it is opened (store/part.ts), so whoever supplied which byte, all are judged.
 *
 * One source after the other, none of which may hold up the rest (paced.ts). At one source: after a cut it goes on as long as each try brings
 * PROGRESS_BYTES; tries that bring less are counted. A source that answers a range wrongly starts
 * from the first byte, once. Bytes that have the wrong digest are thrown away; when some of them were
 * there before this try, the same source gets one more, from nothing: they may not be its fault.
 *
 * Channels download beside each other; a blob that two of them want is fetched by one at a time.
 */
import {
  type Fault,
  fault,
  ok,
  type Refused,
  type Result,
  refuse,
  refused,
} from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { Digest } from '#state/digest.ts';
import type { ContentStore } from '#store/content.ts';
import type { Part } from '#store/part.ts';
import { type PaceClock, paced } from './paced.ts';
import { readSmallBlob } from './read-blob.ts';
import type { Source } from './source.ts';

export interface BlobWanted {
  readonly digest: Digest;
  /** bytes, as signed */
  readonly size: number;
  /** for messages */
  readonly name: string;
}

export interface Downloads {
  /**
   * All of them, two at a time; equal digests once. At the first that fails the others stop,
   * keeping their parts. Durable after ContentStore.sync.
   * @param sources  the one whose statement it is first, then its mirrors
   */
  fetchAll(
    wanted: readonly BlobWanted[],
    sources: readonly Source[],
    signal: AbortSignal,
  ): Promise<Result<undefined>>;
}

export interface DownloadsInput {
  readonly content: Pick<ContentStore, 'hasBlob' | 'partial' | 'turn'>;
  readonly clock: Pick<Clock, 'sleep'> & PaceClock;
  /** after each chunk: bytes of this blob that are here */
  readonly progress?: (wanted: BlobWanted, bytes: number) => void;
}

/** blobs at once */
const CONCURRENCY = 2;
const PROGRESS_BYTES = 64 * 1024;
/** tries at one source that bring less than PROGRESS_BYTES */
const POOR_TRIES_MAX = 3;
/** ms before a source is asked to go on */
const RESUME_MS = 250;

export function downloads(input: DownloadsInput): Downloads {
  return {
    fetchAll: (wanted, sources, signal) => fetchAll(wanted, { ...input, sources, signal }),
  };
}

/** A small blob, whole in memory, from the first source that has it. */
export async function fetchSmall(
  sources: readonly Source[],
  digest: Digest,
  size: number,
  signal: AbortSignal,
): Promise<Result<Uint8Array>> {
  const what = `blob ${digest}`;
  let worst: Fault | null = null;
  for (const source of sources) {
    const bytes = await readSmallBlob(source.blob, { digest, size, what }, signal);
    if (bytes.ok) return bytes;
    if (worst?.retry !== 'later') worst = bytes.fault;
  }
  return worst === null ? noSource(what) : refused(worst);
}

interface Download extends DownloadsInput {
  readonly sources: readonly Source[];
  readonly signal: AbortSignal;
}

async function fetchAll(
  wanted: readonly BlobWanted[],
  download: Download,
): Promise<Result<undefined>> {
  const waiting = [...new Map(wanted.map((want) => [want.digest, want])).values()];
  const ended = new AbortController();
  const signal = AbortSignal.any([download.signal, ended.signal]);
  let failure: Fault | null = null;
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      if (failure !== null) return;
      const done = await fetchBlob(next, { ...download, signal });
      if (done.ok) continue;
      failure ??= done.fault;
      ended.abort();
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, work));
  return failure === null ? ok() : refused(failure);
}

async function fetchBlob(wanted: BlobWanted, options: Download): Promise<Result<undefined>> {
  const { content, signal } = options;
  const end = await content.turn(wanted.digest, signal);
  if (end === null) return refuse('link.cut', { peer: wanted.name, reason: 'asked to stop' });
  try {
    return content.hasBlob(wanted.digest, wanted.size) ? ok() : await fetchFrom(wanted, options);
  } finally {
    end();
  }
}

/** @returns the fault most worth a later try, when no source had it whole and right */
async function fetchFrom(wanted: BlobWanted, options: Download): Promise<Result<undefined>> {
  const { sources, clock } = options;
  const among = sources.length > 1;
  let worst: Fault | null = null;
  // One that was only slow has another turn, at its own pace, when nobody else had it whole: the
  // list grows while it is walked.
  const turns = sources.map((source) => ({ source, hasty: among }));
  for (const { source, hasty } of turns) {
    const asked = hasty ? paced(source, clock) : source;
    const outcome = await downloadFrom(asked, wanted, options);
    if (outcome.kind === 'done') return ok();
    if (outcome.kind === 'broken') return refused(outcome.fault);
    if (outcome.fault.code === 'source.slow') turns.push({ source, hasty: false });
    if (worst?.retry !== 'later') worst = outcome.fault;
  }
  if (worst !== null) return refused(worst);
  return noSource(wanted.name);
}

function noSource(what: string): Refused {
  return refuse('source.missing', { what, source: 'no source is configured' });
}

type Outcome =
  | { readonly kind: 'done' }
  /** the next source may have it */
  | { readonly kind: 'failed'; readonly fault: Fault }
  /** this device's disk, or an end that was asked for: no source can help */
  | { readonly kind: 'broken'; readonly fault: Fault };

async function downloadFrom(
  source: Source,
  wanted: BlobWanted,
  options: Download,
): Promise<Outcome> {
  let poorTries = 0;
  let mayStartAgain = true;
  for (;;) {
    const opened = openPart(wanted, options);
    if (!opened.ok) return { kind: 'broken', fault: opened.fault };
    const part = opened.value;
    const before = part.size;
    const got = before === wanted.size ? null : await receive(source, wanted, part, options);
    if (got?.kind === 'broken') return got;
    const fault = got?.fault ?? shortOf(wanted, part);
    if (fault === null) {
      const adopted = adopt(wanted, part);
      if (adopted.kind !== 'failed' || before === 0 || !mayStartAgain) return adopted;
      mayStartAgain = false;
      continue;
    }
    if (fault.code === 'source.range' && mayStartAgain) {
      mayStartAgain = false;
      const cleared = part.discard();
      if (!cleared.ok) return { kind: 'broken', fault: cleared.fault };
      continue;
    }
    if (fault.code === 'source.too-large') part.discard();
    else part.close();
    if (!isCut(fault)) return { kind: 'failed', fault };
    if (part.size - before < PROGRESS_BYTES) poorTries += 1;
    if (poorTries === POOR_TRIES_MAX) return { kind: 'failed', fault };
    await options.clock.sleep(RESUME_MS, options.signal);
    if (options.signal.aborted) return { kind: 'broken', fault };
  }
}

/** A part that is longer than the blob holds nothing of use. */
function openPart(wanted: BlobWanted, { content }: Download): Result<Part> {
  const part = content.partial(wanted.digest);
  if (!part.ok || part.value.size <= wanted.size) return part;
  const cleared = part.value.restart();
  if (cleared.ok) return part;
  part.value.close();
  return cleared;
}

/** Null when the source said all it had to say. */
async function receive(
  source: Source,
  wanted: BlobWanted,
  part: Part,
  options: Download,
): Promise<Exclude<Outcome, { kind: 'done' }> | null> {
  const { digest, size } = wanted;
  for await (const piece of source.blob(digest, part.size, size, options.signal)) {
    if (piece.kind === 'failed') {
      const kind = options.signal.aborted ? 'broken' : 'failed';
      if (kind === 'broken') part.close();
      return { kind, fault: piece.fault };
    }
    const tooLong = piece.kind === 'bytes' && part.size + piece.bytes.length > size;
    if (tooLong) {
      const large = fault('source.too-large', { what: wanted.name, cap: size });
      return { kind: 'failed', fault: large };
    }
    const kept = piece.kind === 'restart' ? part.restart() : part.write(piece.bytes);
    if (!kept.ok) {
      part.close();
      return { kind: 'broken', fault: kept.fault };
    }
    options.progress?.(wanted, part.size);
  }
  return null;
}

function isCut({ code }: Fault): boolean {
  return ['link.cut', 'link.timeout', 'link.slow', 'source.size-mismatch'].includes(code);
}

/** A body may end early without an error (its length was a lie, or it had none): go on like a cut. */
function shortOf({ size, name }: BlobWanted, part: Part): Fault | null {
  if (part.size === size) return null;
  return fault('source.size-mismatch', { what: name, wanted: size, got: part.size });
}

function adopt(wanted: BlobWanted, part: Part): Outcome {
  const adopted = part.adopt(wanted.size);
  if (adopted.ok) return { kind: 'done' };
  if (adopted.fault.code !== 'store.blob-mismatch') return { kind: 'broken', fault: adopted.fault };
  const mismatch = { what: wanted.name, wanted: wanted.digest, got: 'others' };
  return { kind: 'failed', fault: fault('source.digest-mismatch', mismatch) };
}
