/**
 * Retained messages on disk: one line of JSON each (topic, payload, when it came) in
 * `retained.jsonl`, the last one of a topic counts, an empty payload clears it. Lines that come within a few milliseconds share one fsync;
 * `put` resolves after it, so a broker acknowledges what survives a power cut. The file is written
 * anew when most of it is out of date. A torn last line is one message that nobody acknowledged.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { Directory, Files, FileWriter } from '#platform/files.ts';

export interface Retained {
  readonly messages: ReadonlyMap<string, Uint8Array>;
  /** Unix ms by this machine's clock; not there: of a file from before it was kept */
  readonly receivedAt: ReadonlyMap<string, number>;
  put(topic: string, payload: Uint8Array): Promise<Result<void>>;
  /** Writes what is waiting. */
  close(): void;
}

const NAME = 'retained.jsonl';
const NEW_NAME = 'retained.jsonl.new';
const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;
const GATHER_MS = 3;
/** bytes of topics and payloads that are kept; lines are up to 4/3 of it */
const LIVE_MAX = 64 * 1024 * 1024;
const MESSAGES_MAX = 100_000;
const FILE_MAX = 4 * LIVE_MAX;
/** the file may grow to this many times what is live, past the first MiB */
const SLACK = 3;
const SLACK_FLOOR = 1024 * 1024;

export function openRetained(files: Files, folder: string, clock: Clock): Result<Retained> {
  const directory = files.open(folder, { create: DIRECTORY_MODE, follow: true });
  if (!directory.ok) return directory;
  const opened = openIn(directory.value, clock);
  if (!opened.ok) directory.value.close();
  return opened;
}

function openIn(directory: Directory, clock: Clock): Result<Retained> {
  const held = load(directory);
  if (!held.ok) return held;
  const log = rewrite(directory, held.value);
  return log.ok ? ok(retained({ directory, clock }, held.value, log.value)) : log;
}

interface Held {
  readonly messages: Map<string, Uint8Array>;
  readonly receivedAt: Map<string, number>;
}

interface Message {
  readonly topic: string;
  readonly payload: Uint8Array;
  /** Unix ms; 0: not known */
  readonly at: number;
}

function load(directory: Directory): Result<Held> {
  const held: Held = { messages: new Map(), receivedAt: new Map() };
  const entry = directory.stat(NAME);
  if (!entry.ok) return entry;
  if (!entry.value) return ok(held);
  const bytes = directory.read(NAME, FILE_MAX);
  if (!bytes.ok) return bytes;
  for (const line of Buffer.from(bytes.value).toString().split('\n')) {
    const message = messageOf(line);
    if (message) keep(held, message);
  }
  return ok(held);
}

/** Null for a torn line. */
function messageOf(line: string): Message | null {
  try {
    const [topic, payload, at]: unknown[] = JSON.parse(line);
    if (typeof topic !== 'string' || typeof payload !== 'string') return null;
    return {
      topic,
      payload: Buffer.from(payload, 'base64'),
      at: Number.isSafeInteger(at) ? Number(at) : 0,
    };
  } catch {
    return null;
  }
}

function lineOf({ topic, payload, at }: Message): string {
  return `${JSON.stringify([topic, Buffer.from(payload).toString('base64'), at])}\n`;
}

function keep({ messages, receivedAt }: Held, { topic, payload, at }: Message): void {
  receivedAt.delete(topic);
  if (payload.length === 0) {
    messages.delete(topic);
    return;
  }
  messages.set(topic, payload);
  if (at > 0) receivedAt.set(topic, at);
}

/** A file of what is live alone, complete before it replaces the old one; open to append to. */
function rewrite(directory: Directory, { messages, receivedAt }: Held): Result<FileWriter> {
  const cleared = directory.removeTree(NEW_NAME);
  if (!cleared.ok) return cleared;
  const writer = directory.create(NEW_NAME, FILE_MODE);
  if (!writer.ok) return writer;
  const lines = [...messages]
    .map(([topic, payload]) => lineOf({ topic, payload, at: receivedAt.get(topic) ?? 0 }))
    .join('');
  const written = writer.value.write(Buffer.from(lines));
  const synced = written.ok ? writer.value.sync() : written;
  const renamed = synced.ok ? directory.rename(NEW_NAME, NAME) : synced;
  const named = renamed.ok ? directory.sync() : renamed;
  if (named.ok) return writer;
  writer.value.close();
  return named;
}

function retained(
  { directory, clock }: { readonly directory: Directory; readonly clock: Clock },
  held: Held,
  first: FileWriter,
): Retained {
  const { messages, receivedAt } = held;
  let log = first;
  let live = 0;
  for (const [topic, payload] of messages) live += topic.length + payload.length;
  let waiting: { readonly line: string; readonly done: (result: Result<void>) => void }[] = [];
  let cancel: (() => void) | null = null;

  const flush = (): void => {
    cancel = null;
    const batch = waiting;
    waiting = [];
    const written = log.write(Buffer.from(batch.map(({ line }) => line).join('')));
    const synced = written.ok ? log.sync() : written;
    if (log.size > SLACK_FLOOR + SLACK * live) {
      const fresh = rewrite(directory, held);
      if (fresh.ok) {
        log.close();
        log = fresh.value;
      }
    }
    for (const { done } of batch) done(synced);
  };

  return {
    messages,
    receivedAt,
    put(topic, payload) {
      const size = payload.length === 0 ? 0 : topic.length + payload.length;
      const before = messages.get(topic);
      const grown = live + size - (before ? topic.length + before.length : 0);
      if (size > 0 && (grown > LIVE_MAX || (!before && messages.size >= MESSAGES_MAX))) {
        return Promise.resolve(
          refuse('hub.retained-full', { messages: messages.size, bytes: live }),
        );
      }
      live = grown;
      const message = { topic, payload: Uint8Array.from(payload), at: clock.wallMs() };
      keep(held, message);
      return new Promise((done) => {
        waiting.push({ line: lineOf(message), done });
        cancel ??= clock.after(GATHER_MS, flush);
      });
    },
    close() {
      cancel?.();
      if (waiting.length > 0) flush();
      log.close();
      directory.close();
    },
  };
}
