/**
 * From a candidate to a change that can be applied: documents, plan, room, blobs (checks 15 and
 * 16). Nothing here has a visible effect; what is fetched stays for the next try.
 */

import { stateRowOf } from '#apply/load.ts';
import { type Followed, takenOver } from '#apply/orphans.ts';
import { checkOthers } from '#apply/owned.ts';
import type { InParts } from '#apply/parts.ts';
import { generationsOf, provenOf } from '#apply/recover.ts';
import { before } from '#apply/replaced.ts';
import type { Runtime } from '#apply/runtimes/runtime.ts';
import { type Change, runtimeOf } from '#apply/transaction.ts';
import { type Fault, ok, type Result, refuse, refused } from '#errors/fault.ts';
import type { Allow } from '#plan/allow.ts';
import { partsBetween } from '#plan/parts.ts';
import { type Document, type Plan, planChange } from '#plan/plan.ts';
import { checkValuesOnly } from '#plan/values.ts';
import { type BlobWanted, type Downloads, fetchSmall } from '#sources/download.ts';
import type { Source } from '#sources/source.ts';
import type { ChannelRow, StateRow } from '#state/channel-row.ts';
import type { DesiredState } from '#state/desired-state.ts';
import type { DeviceFacts } from '#state/device.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import type { Generation } from '#state/generation.ts';
import { LIMITS } from '#state/limits.ts';
import type { StatusPoint } from '#state/status.ts';
import type { KnownValues } from '#state/values.ts';
import type { ContentStore } from '#store/content.ts';
import type { Store } from '#store/store.ts';
import { blobNames } from '#wire/deployment.ts';
import { readDocuments } from '#wire/documents.ts';
import { readKnownDeployment } from '#wire/known-deployment.ts';
import { evidenceOf } from './evidence.ts';
import type { Candidate } from './found.ts';
import { MARGO_CHANNEL } from './margo-state.ts';
import type { Mirrors } from './mirrors.ts';
import type { OpenPackages } from './packages.ts';

export interface ChangeInput {
  readonly store: Store;
  readonly content: ContentStore;
  readonly sources: readonly Source[];
  /** default: nothing is known of them */
  readonly mirrors?: Pick<Mirrors, 'inOrder'>;
  readonly downloads: Downloads;
  readonly device: DeviceFacts;
  readonly allow: Allow;
  /** the channels of this device */
  readonly followed: Followed;
  /** how a target reads with the links of the target roots followed */
  real?(path: string): string;
  /** those in force of this device's own channel */
  values?(): KnownValues;
  /** what the owner's registries have beside the statement (apply/runtimes/packages.ts) */
  readonly packages?: OpenPackages;
  readonly runtimes?: ReadonlyMap<string, Runtime>;
  /** bytes that stay free on the file system of stateDir */
  readonly reserveBytes: number;
  readonly wallMs: () => number;
}

/** What the statement would do here; nothing but its documents is fetched. */
export interface Planned {
  readonly candidate: Candidate;
  readonly plan: Plan;
  /** what it was planned from */
  readonly current: readonly Generation[];
  readonly documents: Uint8Array | null;
  readonly mediaTypes: ReadonlyMap<string, string>;
  /** blobs that are not on this device yet */
  readonly missing: readonly BlobWanted[];
}

export async function planCandidate(
  input: ChangeInput,
  candidate: Candidate,
  row: ChannelRow,
  signal: AbortSignal,
): Promise<Result<Planned>> {
  const carried = checkValuesOnly(row.channel, candidate.state);
  if (!carried.ok) return carried;
  const layer = await documentsLayer(input, candidate, { row, signal });
  if (!layer.ok) return layer;
  const documents = readAll(candidate.state, layer.value);
  if (!documents.ok) return documents;
  const current = currentGenerations(input, row, candidate.state);
  if (!current.ok) return current;
  const plan = planChange({
    state: candidate.state,
    documents: documents.value,
    current: current.value,
    device: input.device,
    allow: input.allow,
    ...(input.values && { values: input.values() }),
    everythingChanged: row.intent?.phase === 'stuck',
  });
  if (!plan.ok) return plan;
  const free = checkOthers(input, row, plan.value.desired);
  if (!free.ok) return free;
  const mediaTypes = new Map(
    candidate.state.deployments.map(({ id, mediaType }) => [id, mediaType]),
  );
  const missing = missingBlobs(input.content, plan.value.desired);
  const made = { candidate, plan: plan.value, current: current.value };
  return ok({ ...made, documents: layer.value, mediaTypes, missing });
}

/** Fetches what is missing and makes the change that `runTransaction` takes. */
export async function changeOf(
  input: ChangeInput,
  planned: Planned,
  row: ChannelRow,
  signal: AbortSignal,
): Promise<Result<Change>> {
  const { candidate, plan, missing } = planned;
  const room = checkRoom(input, planned);
  if (!room.ok) return room;
  const order = orderOf(input, candidate.source);
  const left = keepBrought(input.content, candidate, missing);
  if (!left.ok) return left;
  const fetched = await input.downloads.fetchAll(left.value, order, signal);
  if (!fetched.ok) return fetched;
  const inParts = partsOf(input, planned, row);
  const unfetched = await fetchPackages(input, plan, { signal, each: inParts !== null });
  for (const failed of unfetched.values()) if (!inParts) return refused(failed);
  const root = input.store.root(row.fleet);
  if (!root.ok) return root;
  const evidence = evidenceOf(candidate, plan, root.value ?? new Uint8Array());
  const held = replacedBy(input, row, candidate);
  if (!held.ok) return held;
  const { state, envelope, via, freshness } = candidate;
  const to: StatusPoint = {
    epoch: state.point.epoch,
    sequence: state.point.sequence,
    stateDigest: state.point.digest,
    at: input.wallMs(),
  };
  const mediaTypeOf = (id: string) => planned.mediaTypes.get(id) ?? '';
  const stateRow = stateRowOf(to.stateDigest, plan.desired, mediaTypeOf);
  return ok({
    kind: 'apply',
    to,
    via,
    freshness,
    attemptsMax: state.policy.attemptsMax || LIMITS.attemptsMaxDefault,
    fleet: row.fleet,
    channel: row.channel,
    steps: plan.steps,
    stateRow: { ...stateRow, ...held.value },
    statement: { envelope, documents: planned.documents, via, evidence },
    healthWindowMs: state.policy.healthWindowMs,
    issuedAt: state.issuedAt,
    startedAt: candidate.startedAt,
    ...(inParts && { inParts: { ...inParts, unfetched } }),
  });
}

/**
 * Deployment by deployment, where the policy says so. Whole where what is here is not a proven state that
 * its channel signed: from `stuck`, and where another channel took over part of it.
 */
function partsOf(
  input: ChangeInput,
  { candidate: { state }, plan: { desired }, current }: Planned,
  { channel, intent, taken }: ChannelRow,
): InParts | null {
  if (state.policy.atomicity !== 'deployment' || taken || intent?.phase === 'stuck') return null;
  const parts = partsBetween(current, desired, input.real);
  if (parts.length === 0) return null;
  return { desired, parts, ...(channel === MARGO_CHANNEL && { remember: true }) };
}

/**
 * Images and packages of what changes: what none of its runtimes asks for costs nothing.
 * @param each  goes on past one that cannot be had
 * @returns why, by the deployment that asked
 */
async function fetchPackages(
  { packages, runtimes, allow }: ChangeInput,
  { steps }: Plan,
  { signal, each }: { readonly signal: AbortSignal; readonly each: boolean },
): Promise<ReadonlyMap<string, Fault>> {
  const failed = new Map<string, Fault>();
  if (!packages || !runtimes) return failed;
  for (const step of steps) {
    if (step.kind === 'remove') continue;
    const runtime = runtimeOf({ runtimes }, step.next);
    const fetched = runtime.ok
      ? await runtime.value.fetch?.(step.next, packages(allow, signal))
      : runtime;
    if (fetched && !fetched.ok) failed.set(step.next.id, fetched.fault);
    if (failed.size > 0 && !each) break;
  }
  return failed;
}

/** Applied before, and in part another channel's since: what is left of it comes back by an undo. */
function replacedBy(
  { store }: Pick<ChangeInput, 'store'>,
  { fleet, channel, applied }: ChannelRow,
  { state: { point } }: Candidate,
): Result<Pick<StateRow, 'replaced'>> {
  if (applied?.stateDigest !== point.digest) return ok({});
  const held = store.state(fleet, channel, point.digest);
  if (!held.ok) return held;
  return ok({ replaced: held.value ? before(held.value).generations : [] });
}

/**
 * The documents layer: came along, is on disk from an earlier try or from a state that had the same
 * one (a statement signed anew), or is fetched (checks 2–4).
 */
export async function documentsLayer(
  { content, sources, mirrors }: Pick<ChangeInput, 'content' | 'sources' | 'mirrors'>,
  { state, inline, source }: Candidate,
  { row, signal }: { readonly row: ChannelRow; readonly signal: AbortSignal },
): Promise<Result<Uint8Array | null>> {
  const { documents } = state;
  if (!documents) return ok(null);
  const along = inline.get(documents.digest);
  if (along) return ok(along);
  for (const digest of [state.point.digest, row.applied?.stateDigest, row.floor?.stateDigest]) {
    const kept = digest ? content.readStatement(digest) : null;
    if (kept?.ok && kept.value.documents && sha256(kept.value.documents) === documents.digest) {
      return ok(kept.value.documents);
    }
  }
  if (documents.size > LIMITS.documentsBytes) {
    return refuse('source.too-large', { what: 'documents layer', cap: LIMITS.documentsBytes });
  }
  const order = orderOf({ sources, ...(mirrors ? { mirrors } : {}) }, source);
  return fetchSmall(order, documents.digest, documents.size, signal);
}

/** Where the statement came from, then its mirrors; those that failed a moment ago are last. */
function orderOf(
  { sources, mirrors }: Pick<ChangeInput, 'sources' | 'mirrors'>,
  first: Source | null,
): readonly Source[] {
  return [...new Set([...(first ? [first] : []), ...(mirrors?.inOrder(sources) ?? sources)])];
}

function readAll(state: DesiredState, layer: Uint8Array | null): Result<readonly Document[]> {
  if (state.deployments.length === 0) return ok([]);
  const read = readDocuments(layer ?? new Uint8Array());
  if (!read.ok) return read;
  const documents: Document[] = [];
  for (const { id, digest, size, mediaType } of state.deployments) {
    const bytes = read.value.get(digest);
    if (bytes?.length !== size) return refuse('plan.document-missing', { deployment: id, digest });
    const where = { id, file: `${id}.yaml` };
    const deployment = readKnownDeployment({ digest, bytes, mediaType }, where);
    if (!deployment.ok) return deployment;
    const names = blobNames(deployment.value);
    documents.push({ deployment: deployment.value, blobNames: names, digest, mediaType });
  }
  return ok(documents);
}

/**
 * What counts as being here: the last proven state, and from `stuck` also what the stuck one may
 * have left that neither knows to remove. What the new state takes over is here too.
 */
function currentGenerations(
  input: ChangeInput,
  row: ChannelRow,
  { deployments }: Pick<DesiredState, 'deployments'>,
): Result<readonly Generation[]> {
  const own = provenOf(input, row);
  if (!own.ok) return own;
  const owned = new Set(own.value.map(({ id }) => id));
  const named = new Set(deployments.map(({ id }) => id).filter((id) => !owned.has(id)));
  const applied = ok([...own.value, ...takenOver(input, input.followed, named)]);
  if (row.intent?.phase !== 'stuck') return applied;
  const stuck = generationsOf(input, row, row.intent.to.stateDigest);
  if (!stuck.ok) return stuck;
  const known = new Set(applied.value.map(({ id }) => id));
  return ok([...applied.value, ...stuck.value.filter(({ id }) => !known.has(id))]);
}

/** Every blob of every generation, each digest once: an old one may have been lost since. */
function missingBlobs(
  content: ContentStore,
  desired: readonly Generation[],
): readonly BlobWanted[] {
  const wanted = new Map<Digest, BlobWanted>();
  for (const { id, blobs } of desired) {
    for (const [name, { digest, size }] of blobs) {
      if (!wanted.has(digest)) wanted.set(digest, { digest, size, name: `${id}/${name}` });
    }
  }
  return [...wanted.values()].filter(({ digest, size }) => !content.hasBlob(digest, size));
}

/** What came with the statement needs no fetching, and stays for the next try. */
function keepBrought(
  content: ContentStore,
  { inline }: Candidate,
  missing: readonly BlobWanted[],
): Result<readonly BlobWanted[]> {
  const left: BlobWanted[] = [];
  for (const wanted of missing) {
    const bytes = inline.get(wanted.digest);
    const kept = bytes?.length === wanted.size ? content.putBlob(wanted.digest, bytes) : null;
    if (kept && !kept.ok) return kept;
    if (!kept) left.push(wanted);
  }
  return ok(left);
}

/** Check 15: blobs, their unpacked form, and the reserve must fit before the first byte is fetched. */
function checkRoom(input: ChangeInput, { plan, missing }: Planned): Result<void> {
  if (missing.length === 0 && plan.steps.length === 0) return ok(undefined);
  const free = input.content.freeBytes();
  if (!free.ok) return free;
  const packed = missing.reduce((sum, { size }) => sum + size, 0);
  const unpacked = plan.steps
    .flatMap((step) => (step.kind === 'activate' ? [...step.next.blobs.values()] : []))
    .reduce((sum, { unpackedSize }) => sum + unpackedSize, 0);
  const needed = packed + unpacked + input.reserveBytes;
  if (free.value >= needed) return ok(undefined);
  return refuse('apply.no-space', { needed, free: free.value, reserve: input.reserveBytes });
}
