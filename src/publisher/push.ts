/**
 * Pushes one signed state, so that a cut at any point leaves the channel at its old head and a rerun
 * sends the same bytes: blobs that are missing, then the numbered tag, which is read back and is
 * somebody else's when another publisher was first, then the channel's tag, last. A state that is
 * there already is sent again when what is there lacks roots or signatures by keys that count now.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Registry } from '#link/registry.ts';
import { comparePoints, pointText } from '#state/point.ts';
import type { OciDescriptor } from '#wire/oci.ts';
import type { FleetAuthority } from './fleet.ts';
import { type Head, isOutdated, readHead } from './head.ts';
import { registryShelf } from './shelf.ts';
import { type SignedState, tagOf } from './signed.ts';

export type PushEvent =
  | {
      readonly kind: 'blobs';
      readonly missing: number;
      readonly bytes: number;
      readonly total: number;
    }
  /** bytes of all missing blobs sent so far */
  | { readonly kind: 'sent'; readonly bytes: number }
  | { readonly kind: 'reserved'; readonly tag: string }
  | { readonly kind: 'moved'; readonly tag: string };

export type Pushed = 'moved' | 'there-already';

/** blobs asked about at a time */
const ASKED_AT_ONCE = 4;
/** blobs under way at a time; each holds one piece (link/registry-push.ts) in memory */
const SENT_AT_ONCE = 3;

export async function pushState(
  registry: Registry,
  signed: SignedState,
  authority: FleetAuthority,
  report: (event: PushEvent) => void,
): Promise<Result<Pushed>> {
  const { channel, point } = signed.state;
  const reserved = tagOf(channel, point);
  const there = await reservation(registry, signed, authority);
  if (!there.ok) return there;
  if (!there.value || isOutdated(there.value, authority)) {
    const sent = await pushBlobs(registry, signed, report);
    if (!sent.ok) return sent;
    const put = await registry.putManifest(reserved, signed.manifestBytes);
    if (!put.ok) return put;
    const back = await reservation(registry, signed, authority);
    if (!back.ok) return back;
    if (!back.value) return refuse('publish.sequence-taken', { tag: reserved });
  }
  report({ kind: 'reserved', tag: reserved });
  const head = await readHead(registryShelf(registry, channel), authority);
  if (!head.ok) return head;
  const order = head.value ? comparePoints(head.value.state.point, point) : -1;
  if (head.value && order > 0) {
    const shown = { point: pointText(point), head: pointText(head.value.state.point) };
    return refuse('publish.superseded', shown);
  }
  const same = head.value?.state.point.digest === point.digest;
  if (head.value && same && !isOutdated(head.value, authority)) return ok('there-already');
  const moved = await registry.putManifest(channel, signed.manifestBytes);
  if (!moved.ok) return moved;
  report({ kind: 'moved', tag: channel });
  return ok('moved');
}

/** What our numbered tag holds; null: nobody's yet. Somebody else's: `publish.sequence-taken`. */
async function reservation(
  registry: Registry,
  signed: SignedState,
  authority: FleetAuthority,
): Promise<Result<Head | null>> {
  const tag = tagOf(signed.state.channel, signed.state.point);
  const held: Result<Head | null> = await readHead(registryShelf(registry, tag), authority);
  if (!held.ok) {
    // bytes that are not this fleet's under our number: taken, whoever put them there
    return held.fault.code === 'publish.head-unverified'
      ? refuse('publish.sequence-taken', { tag })
      : held;
  }
  if (!held.value) return held;
  return held.value.state.point.digest === signed.state.point.digest
    ? held
    : refuse('publish.sequence-taken', { tag });
}

async function pushBlobs(
  registry: Registry,
  { manifest, shelf }: SignedState,
  report: (event: PushEvent) => void,
): Promise<Result<undefined>> {
  const blobs = [
    ...new Map([manifest.config, ...manifest.layers].map((b) => [b.digest, b])).values(),
  ];
  const missing = await missingBlobs(registry, blobs);
  if (!missing.ok) return missing;
  const bytes = missing.value.reduce((sum, { size }) => sum + size, 0);
  report({ kind: 'blobs', missing: missing.value.length, bytes, total: blobs.length });
  const queue = [...missing.value];
  const sent = new Map<string, number>();
  const sendFrom = async (): Promise<Result<undefined>> => {
    for (let blob = queue.shift(); blob; blob = queue.shift()) {
      const { digest, size } = blob;
      const done = await sendBlob(registry, shelf, blob, (so) => {
        sent.set(digest, Math.min(so, size));
        report({ kind: 'sent', bytes: [...sent.values()].reduce((sum, one) => sum + one, 0) });
      });
      if (!done.ok) {
        queue.length = 0; // the others end with the blob they are at
        return done;
      }
    }
    return ok();
  };
  const ended = await Promise.all(Array.from({ length: SENT_AT_ONCE }, sendFrom));
  return ended.find((one) => !one.ok) ?? ok();
}

async function sendBlob(
  registry: Registry,
  shelf: SignedState['shelf'],
  { digest, size }: Pick<OciDescriptor, 'digest' | 'size'>,
  progress: (bytes: number) => void,
): Promise<Result<undefined>> {
  const content = shelf.content({ digest, size });
  if (!content) {
    return refuse('publish.bundle', { bundle: shelf.name, reason: 'it cannot be sent on' });
  }
  if (!content.ok) return content;
  const sent = await registry.pushBlob(digest, size, content.value.chunks, progress);
  if (sent.ok) progress(size);
  return sent;
}

/** What the registry says it has not, a few questions at a time. */
export async function missingBlobs(
  registry: Registry,
  blobs: readonly Pick<OciDescriptor, 'digest' | 'size'>[],
): Promise<Result<readonly Pick<OciDescriptor, 'digest' | 'size'>[]>> {
  const missing: Pick<OciDescriptor, 'digest' | 'size'>[] = [];
  for (let at = 0; at < blobs.length; at += ASKED_AT_ONCE) {
    const some = blobs.slice(at, at + ASKED_AT_ONCE);
    const answers = await Promise.all(some.map(({ digest }) => registry.hasBlob(digest)));
    for (const [index, answer] of answers.entries()) {
      if (!answer.ok) return answer;
      const blob = some[index];
      if (!answer.value && blob) missing.push(blob);
    }
  }
  return ok(missing);
}
