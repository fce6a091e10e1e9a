/**
 * What this fleet folder has signed: signed/NAME/EPOCH-SEQUENCE, one image layout each. The folders
 * are the counter: a number that stands here is used, pushed or not. `EPOCH-SEQUENCE.taken` beside
 * one says that another publisher was first with this number; its layout is never sent again.
 * `EPOCH-SEQUENCE.waiting` holds a statement whose signatures are still being collected (waiting.ts).
 */
import { ok, type Result, refused } from '#errors/fault.ts';
import type { Files } from '#platform/files.ts';
import { comparePoints, type Point } from '#state/point.ts';
import { authorityOf, type Fleet } from './fleet.ts';
import { type Head, readHead } from './head.ts';
import { openLayout, type Shelf } from './shelf.ts';

export type PointNumber = Pick<Point, 'epoch' | 'sequence'>;

export interface SignedNumber extends PointNumber {
  readonly taken: boolean;
  /** not signed by enough keys yet, and used all the same: somebody may have signed it */
  readonly waiting: boolean;
}

/** A signed state in the folder, verified. */
export interface SignedState extends Head {
  readonly shelf: Shelf;
}

export function signedFolder(fleet: Fleet, channel: string): string {
  return `${fleet.directory}/signed/${channel}`;
}

export function folderName({ epoch, sequence }: PointNumber): string {
  return `${epoch}-${sequence}`;
}

/** Reserved and lasting (FORMATS: Words). */
export function tagOf(channel: string, { epoch, sequence }: PointNumber): string {
  return `${channel}_${epoch}_${sequence}`;
}

/** Ascending. */
export function signedNumbers(
  files: Files,
  fleet: Fleet,
  channel: string,
): Result<readonly SignedNumber[]> {
  const folder = files.open(signedFolder(fleet, channel), { follow: true });
  if (!folder.ok) return folder.fault.code === 'platform.missing' ? ok([]) : refused(folder.fault);
  const names = folder.value.list();
  folder.value.close();
  if (!names.ok) return names;
  const all = new Set(names.value);
  const numbers = names.value.flatMap((name): SignedNumber[] => {
    const match = /^([1-9]\d{0,19})-([1-9]\d{0,19})(\.waiting)?$/.exec(name);
    if (!match?.[1] || !match[2]) return [];
    const number = { epoch: BigInt(match[1]), sequence: BigInt(match[2]) };
    const waiting = match[3] !== undefined;
    if (waiting && all.has(folderName(number))) return []; // cut between signed and swept
    return [{ ...number, taken: all.has(`${name}.taken`), waiting }];
  });
  return ok(numbers.sort(comparePoints));
}

/** The highest that is still ours to send; verified, because a folder can be edited. */
export async function latestSigned(
  files: Files,
  fleet: Fleet,
  channel: string,
): Promise<Result<SignedState | null>> {
  const numbers = signedNumbers(files, fleet, channel);
  if (!numbers.ok) return numbers;
  const latest = numbers.value.filter(({ taken, waiting }) => !taken && !waiting).at(-1);
  return latest ? openSigned(files, fleet, channel, latest) : ok(null);
}

/** Null: not here. */
export async function openSigned(
  files: Files,
  fleet: Fleet,
  channel: string,
  number: PointNumber,
): Promise<Result<SignedState | null>> {
  const shelf = openLayout(files, `${signedFolder(fleet, channel)}/${folderName(number)}`);
  if (!shelf.ok) return shelf.fault.code === 'platform.missing' ? ok(null) : refused(shelf.fault);
  const head = await readHead(shelf.value, authorityOf(fleet, channel));
  if (!head.ok) return head;
  return ok(head.value ? { ...head.value, shelf: shelf.value } : null);
}

/** Remembers for ever that this number was another publisher's first. */
export function markTaken(
  files: Files,
  fleet: Fleet,
  channel: string,
  number: PointNumber,
): Result<void> {
  const folder = files.open(signedFolder(fleet, channel), { follow: true });
  if (!folder.ok) return folder;
  const name = `${folderName(number)}.taken`;
  const marked = folder.value.write(name, new Uint8Array(), 0o644);
  const synced =
    marked.ok || marked.fault.code === 'platform.exists' ? folder.value.sync() : marked;
  folder.value.close();
  return synced;
}
