/**
 * Watches the frames of an incoming MQTT stream. mqtt.js collects a packet of up to 256 MB before
 * anybody sees it, whatever `maximumPacketSize` says; so the length in each fixed header is read
 * here, on the raw bytes, and the stream ends at a header that announces more than the cap (attack
 * rows M01, M02). Nothing is kept but a few numbers.
 * @see MQTT 5.0 section 2.1
 */
import { Duplex } from 'node:stream';

export type FrameFault =
  /** bytes announced by a header */
  | { readonly kind: 'too-large'; readonly bytes: number }
  /** a length in more than four bytes */
  | { readonly kind: 'malformed' };

const LENGTH_BYTES_MAX = 4;

/** @param cap  bytes after the fixed header; @returns a fault, or null, for each chunk in order */
export function frameWatch(cap: number): (chunk: Uint8Array) => FrameFault | null {
  let bodyLeft = 0;
  // 0: at a packet's first byte; n: n bytes of header read
  let headerRead = 0;
  let length = 0;
  return (chunk) => {
    let at = 0;
    while (at < chunk.length) {
      if (bodyLeft > 0) {
        const skipped = Math.min(bodyLeft, chunk.length - at);
        bodyLeft -= skipped;
        at += skipped;
        continue;
      }
      const byte = chunk[at] ?? 0;
      at += 1;
      if (headerRead === 0) {
        headerRead = 1;
        length = 0;
        continue;
      }
      length += (byte & 0x7f) * 128 ** (headerRead - 1);
      if (length > cap) return { kind: 'too-large', bytes: length };
      if ((byte & 0x80) === 0) {
        bodyLeft = length;
        headerRead = 0;
      } else if (headerRead === LENGTH_BYTES_MAX) {
        return { kind: 'malformed' };
      } else {
        headerRead += 1;
      }
    }
    return null;
  };
}

/**
 * The same stream, watched. It ends when the frame watch finds a fault, before the chunk that shows
 * it is handed on. Small writes that belong together leave as one.
 */
export function watchedStream(
  stream: Duplex,
  cap: number,
  onFault: (fault: FrameFault) => void,
): Duplex {
  const watch = frameWatch(cap);
  const watched = new Duplex({
    read: () => void stream.resume(),
    write: (chunk: Uint8Array, _encoding, done) => void stream.write(chunk, done),
    writev: (chunks, done) =>
      void stream.write(Buffer.concat(chunks.map(({ chunk }) => chunk as Uint8Array)), done),
    final: (done) => void stream.end(done),
    destroy(error, done) {
      stream.destroy();
      done(error);
    },
  });
  stream.on('data', (chunk: Uint8Array) => {
    if (watched.destroyed) return;
    const fault = watch(chunk);
    if (fault !== null) {
      onFault(fault);
      watched.destroy();
    } else if (!watched.push(chunk)) {
      stream.pause();
    }
  });
  // A broker that says why it leaves closes right behind it: what came is read to the end first.
  let finished = false;
  const finish = (): void => {
    if (!finished && !watched.destroyed) watched.push(null);
    finished = true;
  };
  stream.once('end', finish);
  stream.once('close', finish);
  watched.once('end', () => setImmediate(() => watched.destroy()));
  stream.on('error', (error) => void watched.destroy(error));
  return watched;
}
