/**
 * The next root in the making, in the fleet folder: the draft, then the request. The draft may be
 * edited until it is published; a request holds still, because people sign it.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Files } from '#platform/files.ts';
import { sha256 } from '#state/digest.ts';
import { PAYLOAD } from '#state/media-types.ts';
import type { Root } from '#state/root.ts';
import { raiseFloor } from '#trust/time.ts';
import { readEnvelope } from '#wire/envelope.ts';
import { readRoot, writeRoot } from '#wire/root.ts';
import type { Fleet } from './fleet.ts';
import { type Draft, readDraft, writeDraft } from './root-draft.ts';
import { nextDraft } from './root-edit.ts';
import {
  draftFile,
  readMaking,
  removeMaking,
  requestFile,
  rootFolder,
  VERSIONS_MAX,
  writeMaking,
} from './root-folder.ts';
import { rootOf, whyUnfit } from './root-lint.ts';
import { type RootRequest, readRequest, writeRequest } from './root-request.ts';

/** Null: nobody has begun. */
export function openDraft(files: Files, fleet: Fleet): Result<Draft | null> {
  const name = draftFile(nextVersion(fleet));
  const bytes = readMaking(files, fleet.directory, name);
  if (!bytes.ok || !bytes.value) return bytes.ok ? ok(null) : bytes;
  return readDraft(bytes.value, `${rootFolder(fleet.directory)}/${name}`);
}

/** Changes the draft, or begins one. @returns the draft as it is now, and where it lies */
export function changeDraft(
  files: Files,
  fleet: Fleet,
  change: (draft: Draft) => Result<Draft>,
): Result<{ readonly draft: Draft; readonly file: string }> {
  const editable = judgeEditable(fleet);
  if (!editable.ok) return editable;
  const held = openDraft(files, fleet);
  if (!held.ok) return held;
  const changed = change(held.value ?? nextDraft(fleet.root));
  if (!changed.ok) return changed;
  const name = draftFile(changed.value.version);
  const wrote = writeMaking(files, fleet.directory, name, writeDraft(changed.value));
  return wrote.ok ? ok({ draft: changed.value, file: `root/${name}` }) : wrote;
}

/** The folder would not be read with one version more, nor would an artifact hold them for ever. */
export function judgeRoom({ root }: Pick<Fleet, 'root'>): Result<undefined> {
  const { version } = root;
  return version < BigInt(VERSIONS_MAX)
    ? ok()
    : refuse('publish.roots-full', { version, most: VERSIONS_MAX });
}

/** What this version does not know of the newest root would be gone from the next one. */
function judgeEditable({ chain, root }: Fleet): Result<undefined> {
  const bounded = judgeRoom({ root });
  if (!bounded.ok) return bounded;
  const payload = (chain.at(-1) ?? chain[0]).envelope.payload;
  const read = readRoot(payload);
  const same = read.ok && Buffer.compare(writeRoot(read.value), payload) === 0;
  return same ? ok() : refuse('publish.root-newer', { version: root.version });
}

/** Null: none was made. One that does not follow this folder's newest root is refused. */
export function openRequest(files: Files, fleet: Fleet): Result<RootRequest | null> {
  const file = requestFile(nextVersion(fleet));
  const bytes = readMaking(files, fleet.directory, file);
  if (!bytes.ok || !bytes.value) return bytes.ok ? ok(null) : bytes;
  const request = readRequest(bytes.value, `root/${file}`);
  if (!request.ok) return request;
  const previous = readEnvelope(request.value.previousBytes);
  const newest = (fleet.chain.at(-1) ?? fleet.chain[0]).envelope.payload;
  if (previous.ok && Buffer.compare(previous.value.payload, newest) === 0) return request;
  const reason = 'it follows another root than the newest one here';
  return refuse('publish.root-request', { file: `root/${file}`, reason });
}

/** Makes the bytes to sign out of the draft; the same draft again leaves the request as it is. */
export function makeRequest(
  files: Files,
  fleet: Fleet,
): Result<{ readonly request: RootRequest; readonly file: string; readonly fresh: boolean }> {
  const version = nextVersion(fleet);
  const file = `root/${requestFile(version)}`;
  const draft = openDraft(files, fleet);
  if (!draft.ok) return draft;
  const held = openRequest(files, fleet);
  if (!held.ok) return held;
  const bounded = judgeRoom(fleet);
  if (!bounded.ok) return bounded;
  if (!draft.value) {
    if (held.value) return ok({ request: held.value, file, fresh: false });
    return refuse('publish.root-none', { what: 'draft', file: `root/${draftFile(version)}` });
  }
  const { estimateMs } = fleet.time;
  const reason = whyUnfit(draft.value, fleet.chain, estimateMs);
  if (reason !== null) {
    return refuse('publish.root-draft', { file: `root/${draftFile(version)}`, reason });
  }
  if (held.value) {
    const { issuedAt } = held.value.root;
    if (sameRoot(rootOf(draft.value, fleet.root, issuedAt), held.value.root)) {
      return ok({ request: held.value, file, fresh: false });
    }
    const signatures = held.value.envelope.signatures.length;
    if (signatures > 0) return refuse('publish.root-pending', { file, signatures });
  }
  const issuedAt = draft.value.timeReset ? estimateMs : raiseFloor(estimateMs, fleet.root.issuedAt);
  const request = requestOf(rootOf(draft.value, fleet.root, issuedAt), fleet);
  const wrote = keepRequest(files, fleet, request);
  return wrote.ok ? ok({ request, file, fresh: true }) : wrote;
}

function requestOf(root: Root, { chain }: Fleet): RootRequest {
  const { root: previous, bytes: previousBytes } = chain.at(-1) ?? chain[0];
  const payload = writeRoot(root);
  const envelope = { payloadType: PAYLOAD.root, payload, signatures: [] };
  return { envelope, root, previous, previousBytes, digest: sha256(payload) };
}

export function keepRequest(files: Files, fleet: Fleet, request: RootRequest): Result<undefined> {
  const name = requestFile(request.root.version);
  return writeMaking(files, fleet.directory, name, writeRequest(request));
}

/** Draft and request of the next version, and what is left of those that came out. */
export function discardMaking(files: Files, fleet: Fleet): Result<undefined> {
  return removeOf(files, fleet, [...madeVersions(fleet), nextVersion(fleet)]);
}

/** What is left of drafts and requests that have become roots. */
export function sweepMade(files: Files, fleet: Fleet): Result<undefined> {
  return removeOf(files, fleet, madeVersions(fleet));
}

function madeVersions({ chain }: Fleet): readonly bigint[] {
  return chain.map(({ root }) => root.version);
}

function removeOf(files: Files, fleet: Fleet, versions: readonly bigint[]): Result<undefined> {
  const names = versions.flatMap((version) => [draftFile(version), requestFile(version)]);
  return removeMaking(files, fleet.directory, names);
}

export function nextVersion({ root }: Pick<Fleet, 'root'>): bigint {
  return root.version + 1n;
}

function sameRoot(a: Root, b: Root): boolean {
  return Buffer.compare(writeRoot(a), writeRoot(b)) === 0;
}
