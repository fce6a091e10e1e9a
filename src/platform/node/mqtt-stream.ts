/**
 * An MQTT stream with its frames watched (mqtt-frames.ts), handed on in slices. The runtime reads half
 * a megabyte at once; what mqtt.js makes of that is tens of megabytes of objects, more in one go than
 * any collection could give back (attack row M07). So its reader is given one slice in a turn, and what is left behind is
 * collected in between. One chunk at most waits here; the stream is paused meanwhile.
 */
import { Duplex, type DuplexOptions } from 'node:stream';
import { type FrameFault, frameWatch } from './mqtt-frames.ts';
import type { Ration } from './mqtt-ration.ts';

/** What a watched stream does beside the cap. */
export interface Watching {
  readonly ration?: Ration;
  /** gives back at once what is no longer used */
  collect?(): void;
}

/** bytes handed on in one turn */
const SLICE = 32 * 1024;
/** bytes between two collections; what is handed on leaves objects behind and weighs more */
const COLLECT_BYTES = 1024 * 1024;
const HANDED_WEIGHT = 20;

/**
 * It ends when the frame watch finds a fault, before the slice that shows it is handed on. Small
 * writes that belong together leave as one.
 */
export function watchedStream(
  stream: Duplex,
  cap: number,
  onFault: (fault: FrameFault) => void,
  { ration, collect }: Watching = {},
): Duplex {
  const watch = frameWatch(cap, ration);
  const watched = new Duplex({
    read() {
      wanted = true;
      goOn();
    },
    ...writingTo(stream),
  });
  const waiting: Uint8Array[] = [];
  let wanted = true;
  let turning = false;
  let weight = 0;
  let finished = false;

  const take = (slice: Uint8Array): void => {
    const handed = watch.read(slice);
    if ('kind' in handed) {
      onFault(handed);
      watched.destroy();
      return;
    }
    weight += slice.length;
    for (const part of handed) {
      weight += part.length * HANDED_WEIGHT;
      if (!watched.push(part)) wanted = false;
    }
  };
  const turn = (): void => {
    turning = false;
    if (watched.destroyed) return;
    if (weight >= COLLECT_BYTES) {
      weight = 0;
      collect?.();
    }
    const next = wanted ? waiting.shift() : undefined;
    if (next !== undefined) take(next);
    goOn();
  };
  /** Slices first, a collection that is due, then the end or what the stream has next. */
  const goOn = (): void => {
    if (watched.destroyed || turning) return;
    if (waiting.length > 0 || weight >= COLLECT_BYTES) {
      stream.pause();
      if (!wanted && waiting.length > 0) return;
      turning = true;
      setImmediate(turn);
    } else if (finished) watched.push(null);
    else if (wanted) stream.resume();
    else stream.pause();
  };

  stream.on('data', (chunk: Uint8Array) => {
    if (watched.destroyed) return;
    if (waiting.length === 0 && chunk.length <= SLICE) take(chunk);
    else {
      for (let at = 0; at < chunk.length; at += SLICE) waiting.push(chunk.subarray(at, at + SLICE));
    }
    goOn();
  });
  // A broker that says why it leaves closes right behind it: what came is read to the end first.
  const finish = (): void => {
    if (finished) return;
    finished = true;
    goOn();
  };
  stream.once('end', finish);
  stream.once('close', finish);
  watched.once('end', () => setImmediate(() => watched.destroy()));
  stream.on('error', (error) => void watched.destroy(error));
  return watched;
}

function writingTo(stream: Duplex): DuplexOptions {
  return {
    write: (chunk: Uint8Array, _encoding, done) => void stream.write(chunk, done),
    writev: (chunks, done) =>
      void stream.write(Buffer.concat(chunks.map(({ chunk }) => chunk as Uint8Array)), done),
    final: (done) => void stream.end(done),
    destroy(error, done) {
      stream.destroy();
      done(error);
    },
  };
}
