/**
 * Uploads under way, in memory and in `uploads/`. Their bytes are hashed as they arrive; a blob
 * exists once digest and size are right. Bounded in number, in bytes and in idle time; none
 * survives a restart: a client begins again (distribution-spec: 404 on its location).
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { FileWriter } from '#platform/files.ts';
import type { Random } from '#platform/random.ts';
import { type Digest, type Hasher, sha256Hasher } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import type { Disk } from './disk.ts';

export interface Upload {
  readonly id: string;
  readonly repository: string;
  /** bytes so far */
  readonly size: number;
}

export interface Uploads {
  /** `hub.busy` when too many are under way */
  begin(repository: string): Result<Upload>;
  find(repository: string, id: string): Upload | null;
  /** Appends. One call at a time per upload: `hub.busy`. `hub.too-large` ends the upload. */
  append(upload: Upload, body: AsyncIterable<Uint8Array>): Promise<Result<void>>;
  /** Digest and content match: a blob. Anything else: `hub.digest-mismatch`, and it is gone. */
  finish(upload: Upload, digest: Digest): Result<void>;
  cancel(upload: Upload): void;
}

const UPLOADS_MAX = 64;
const IDLE_MS = 3_600_000;

interface Held extends Upload {
  readonly writer: FileWriter;
  readonly hasher: Hasher;
  size: number;
  busy: boolean;
  usedAt: number;
}

/** @param cap  bytes of one blob */
export function uploadsOn(
  disk: Disk,
  clock: Clock,
  random: Random,
  cap: number = LIMITS.blobBytes,
): Uploads {
  const held = new Map<string, Held>();
  const end = (upload: Held): void => {
    held.delete(upload.id);
    upload.writer.close();
    disk.dropUpload(upload.id);
  };
  const sweep = (): void => {
    const before = clock.monotonicMs() - IDLE_MS;
    for (const upload of held.values()) if (!upload.busy && upload.usedAt < before) end(upload);
  };
  return {
    begin(repository) {
      sweep();
      if (held.size >= UPLOADS_MAX) return refuse('hub.busy', { uploads: held.size });
      const id = Buffer.from(random.bytes(16)).toString('hex');
      const writer = disk.upload(id);
      if (!writer.ok) return writer;
      const upload: Held = {
        id,
        repository,
        writer: writer.value,
        hasher: sha256Hasher(),
        size: 0,
        busy: false,
        usedAt: clock.monotonicMs(),
      };
      held.set(id, upload);
      return ok(upload);
    },
    find(repository, id) {
      const upload = held.get(id);
      return upload?.repository === repository ? upload : null;
    },
    async append({ id }, body) {
      const upload = held.get(id);
      if (!upload || upload.busy) return refuse('hub.busy', { uploads: held.size });
      upload.busy = true;
      const appended = await appendTo(upload, body, cap);
      upload.busy = false;
      upload.usedAt = clock.monotonicMs();
      if (!appended.ok && appended.fault.code !== 'link.cut') end(upload);
      return appended;
    },
    finish({ id }, digest) {
      const upload = held.get(id);
      if (!upload || upload.busy) return refuse('hub.busy', { uploads: held.size });
      const finished = finish(disk, upload, digest);
      end(upload);
      return finished;
    },
    cancel({ id }) {
      const upload = held.get(id);
      if (upload && !upload.busy) end(upload);
    },
  };
}

/** A client that goes away keeps what arrived: it may go on from there. */
async function appendTo(
  upload: Held,
  body: AsyncIterable<Uint8Array>,
  cap: number,
): Promise<Result<void>> {
  try {
    for await (const chunk of body) {
      if (upload.size + chunk.length > cap) return refuse('hub.too-large', { cap });
      const written = upload.writer.write(chunk);
      if (!written.ok) return written;
      upload.hasher.update(chunk);
      upload.size += chunk.length;
    }
    return ok();
  } catch {
    return refuse('link.cut', {
      peer: `upload ${upload.id}`,
      reason: `after ${upload.size} bytes`,
    });
  }
}

function finish(disk: Disk, upload: Held, digest: Digest): Result<void> {
  const found = upload.hasher.digest();
  if (found !== digest) return refuse('hub.digest-mismatch', { digest, found });
  const synced = upload.writer.sync();
  return synced.ok ? disk.adopt(upload.id, upload.repository, digest) : synced;
}
