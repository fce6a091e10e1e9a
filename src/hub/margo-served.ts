/**
 * The highest statement that this Margo manager has served, on disk before anything of it is said: a tag
 * that is moved back is not served, also after a restart. It is of one fleet and one channel: an operator
 * who serves another begins a new one.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Directory, Files } from '#platform/files.ts';
import { readIfThere, replaceFile } from '#platform/replace-file.ts';
import { parseDigest } from '#state/digest.ts';
import { comparePoints, type Point, pointText } from '#state/point.ts';
import { isJsonObject, readStrictJson } from '#wire/strict-json.ts';

export interface ServedFloor {
  /** `trust.rollback`, `trust.equivocation`, or a fault of the disk: it must not be served. */
  raise(offered: Point): Result<void>;
  close(): void;
}

export interface ServedOf {
  readonly repository: string;
  readonly channel: string;
  /** 32 hex digits */
  readonly fleet: string;
}

const FILE = 'served.json';
const FILE_BYTES = 16 * 1024;
const MODE = 0o700;

/** @param folder  the hub's Margo side */
export function openServedFloor(files: Files, folder: string, of: ServedOf): Result<ServedFloor> {
  const directory = files.open(folder, { create: MODE, follow: true });
  if (!directory.ok) return directory;
  const kept = readFloor(directory.value, of);
  if (!kept.ok) {
    directory.value.close();
    return kept;
  }
  let floor = kept.value;
  return ok({
    raise(offered) {
      const order = floor ? comparePoints(offered, floor) : 1;
      if (floor && order < 0) {
        const compared = { offered: pointText(offered), floor: pointText(floor) };
        return refuse('trust.rollback', compared);
      }
      if (floor && order === 0) {
        if (floor.digest === offered.digest) return ok();
        const two = { offered: offered.digest, accepted: floor.digest };
        return refuse('trust.equivocation', { point: pointText(offered), ...two });
      }
      const { epoch, sequence, digest } = offered;
      const record = JSON.stringify({ ...of, epoch: `${epoch}`, sequence: `${sequence}`, digest });
      const put = replaceFile(directory.value, FILE, Buffer.from(record));
      if (!put.ok) return put;
      floor = { epoch, sequence, digest };
      return ok();
    },
    close: () => directory.value.close(),
  });
}

/** Null: none yet, or of another fleet or channel. */
function readFloor(directory: Directory, of: ServedOf): Result<Point | null> {
  const bytes = readIfThere(directory, FILE, FILE_BYTES);
  if (!bytes.ok || bytes.value === null) return bytes.ok ? ok(null) : bytes;
  const read = readStrictJson(bytes.value, FILE);
  const damaged = (): Result<never> =>
    refuse('hub.record-damaged', { file: `${directory.path}/${FILE}` });
  if (!read.ok || !isJsonObject(read.value)) return damaged();
  const { repository, channel, fleet, epoch, sequence, digest } = read.value;
  const same = repository === of.repository && channel === of.channel && fleet === of.fleet;
  if (!same) return ok(null);
  const parsed = typeof digest === 'string' ? parseDigest(digest) : null;
  const numbers = [epoch, sequence].map((one) =>
    typeof one === 'string' && /^[0-9]{1,20}$/.test(one) ? BigInt(one) : null,
  );
  const [at, count] = numbers;
  if (parsed === null || at == null || count == null) return damaged();
  return ok({ epoch: at, sequence: count, digest: parsed });
}
