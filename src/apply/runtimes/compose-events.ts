/**
 * The engine's own word that a container of ours ended, was stopped or removed: one connection, kept while
 * there is anything to watch, and a look at the deployment for each word. A hint without authority: what is
 * true is read from the engine, and the looks of drift and status go on without it. Words of health checks
 * are left out on Podman, where our own looks cause them.
 *
 * Bounded: one connection, a line of so many bytes, a look in so many ms for each deployment.
 */
import type { Clock } from '#platform/clock.ts';
import { LABEL } from './compose-container.ts';
import { type Engine, type OpenEngine, objectOf, textOf } from './compose-engine.ts';

export interface EngineEvents {
  /** Watches this deployment from now on; told of before: nothing changes. */
  watch(deployment: string): void;
  forget(deployment: string): void;
}

export interface EngineEventsInput {
  readonly clock: Clock;
  readonly engine: OpenEngine;
  readonly storeId: string;
  /** Something happened to a container of it, or may have. */
  look(deployment: string): void;
}

/** ms before a connection that ended is made again */
const AGAIN_MS = 5_000;
const AGAIN_MAX_MS = 5 * 60_000;
/** ms between two looks at one deployment, however often its containers end */
const SPACE_MS = 500;
/** ms without any word after which the connection is made anew */
const IDLE_MS = 30 * 60_000;
const LINE_BYTES = 64 * 1024;
const ENDS = new Set(['die', 'died', 'oom', 'stop', 'kill', 'destroy', 'remove', 'pause']);

interface Held {
  readonly input: EngineEventsInput;
  readonly watched: Set<string>;
  /** looked at a moment ago → something came since */
  readonly due: Map<string, boolean>;
  failures: number;
  cancel: (() => void) | null;
}

export function engineEvents(input: EngineEventsInput): EngineEvents {
  const held: Held = {
    ...{ input, watched: new Set<string>(), due: new Map<string, boolean>() },
    ...{ failures: 0, cancel: null },
  };
  return {
    watch(deployment) {
      held.watched.add(deployment);
      held.cancel ??= begin(held);
    },
    forget(deployment) {
      held.watched.delete(deployment);
      if (held.watched.size > 0) return;
      held.cancel?.();
      held.cancel = null;
    },
  };
}

function begin(held: Held): () => void {
  const stop = new AbortController();
  void follow(held, stop.signal);
  return () => stop.abort();
}

async function follow(held: Held, signal: AbortSignal): Promise<void> {
  const { clock, engine: open } = held.input;
  for (let first = true; !signal.aborted; first = false) {
    const engine = await open();
    if (signal.aborted) return;
    if (engine.ok) {
      // What happened while nobody listened.
      if (!first) for (const deployment of held.watched) soon(held, deployment);
      await listen(held, engine.value, signal);
    }
    held.failures += 1;
    const wait = Math.min(AGAIN_MS * 2 ** Math.min(held.failures - 1, 10), AGAIN_MAX_MS);
    await pause(clock, wait, signal);
  }
}

/** Until the connection ends, for whatever reason. */
async function listen(held: Held, engine: Engine, signal: AbortSignal): Promise<void> {
  const { storeId } = held.input;
  const filters = JSON.stringify({ type: ['container'], label: [`${LABEL.store}=${storeId}`] });
  const path = '/events';
  const request = { method: 'GET', path, query: { filters }, idleMs: IDLE_MS } as const;
  const from = { kind: engine.kind, storeId };
  for await (const deployment of deploymentsIn(engine.stream(request, signal), from)) {
    if (signal.aborted) return;
    held.failures = 0;
    if (deployment !== null && held.watched.has(deployment)) soon(held, deployment);
  }
}

interface Speaker extends Pick<Engine, 'kind'> {
  readonly storeId: string;
}

/** Each word in what an engine says: the deployment that is to be looked at, or null. */
export async function* deploymentsIn(
  chunks: AsyncIterable<Uint8Array>,
  from: Speaker,
): AsyncGenerator<string | null> {
  for await (const line of linesOf(chunks)) yield deploymentOf(from, line);
}

/** Lines that are longer than any word of ours are passed over. */
async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  let rest = Buffer.alloc(0);
  let skips = false;
  for await (const chunk of chunks) {
    const lines = Buffer.concat([rest, chunk]).toString('latin1').split('\n');
    const last = lines.pop() ?? '';
    for (const line of lines) {
      if (!skips && line.length <= LINE_BYTES) yield Buffer.from(line, 'latin1').toString('utf8');
      skips = false;
    }
    skips ||= last.length > LINE_BYTES;
    rest = Buffer.from(skips ? '' : last, 'latin1');
  }
}

/** Null: nothing that is to be looked at. */
function deploymentOf({ kind, storeId }: Speaker, line: string): string | null {
  let event: unknown;
  try {
    event = JSON.parse(line);
  } catch {
    return null;
  }
  const { Action, Actor, status } = objectOf(event);
  const action = (textOf(Action) || textOf(status)).toLowerCase();
  const ill = kind === 'docker' && action.startsWith('health_status');
  if (!ENDS.has(action) && !ill) return null;
  const labels = objectOf(objectOf(Actor).Attributes);
  if (labels[LABEL.store] !== storeId) return null;
  return textOf(labels[LABEL.deployment]) || null;
}

function soon(held: Held, deployment: string): void {
  const { due, input } = held;
  if (due.has(deployment)) {
    due.set(deployment, true);
    return;
  }
  due.set(deployment, false);
  input.look(deployment);
  // What came meanwhile is looked at when the time is over.
  input.clock.after(SPACE_MS, () => {
    const again = due.get(deployment) === true;
    due.delete(deployment);
    if (again && held.watched.has(deployment)) soon(held, deployment);
  });
}

/** Not a `sleep`: it does not keep the agent's process from ending. */
function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.after(ms, resolve);
    const ended = () => {
      cancel();
      resolve();
    };
    signal.addEventListener('abort', ended, { once: true });
  });
}
