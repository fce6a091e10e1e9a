/**
 * From a wake to a verdict where a Margo manager speaks for the channel (MARGO.md sections 2 and 4): tell
 * what this device can do, ask for the manifest with the ETag of the accepted state, judge its version
 * by check 13, fetch and check every document. Nothing is kept and no ETag counts before the state is
 * accepted, so a document that is missing for a while hides behind no 304.
 */
import { wholeInForce } from '#apply/journal.ts';
import { type Fault, fault, type Result } from '#errors/fault.ts';
import type { MargoLink } from '#link/margo.ts';
import type { Clock } from '#platform/clock.ts';
import type { Inflate } from '#platform/inflate.ts';
import { fetchMargoDocuments } from '#sources/margo-api.ts';
import type { ChannelRow } from '#state/channel-row.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import type { Point } from '#state/point.ts';
import type { ContentStore } from '#store/content.ts';
import type { Store } from '#store/store.ts';
import type { Wake } from '#triggers/trigger.ts';
import type { Outcome } from '#trust/outcome.ts';
import { judgeSequence, type Newness } from '#trust/sequence.ts';
import { readDocuments } from '#wire/documents.ts';
import { readMargoManifest } from '#wire/margo-manifest.ts';
import type { Finder } from './find.ts';
import type { Found, Look } from './found.ts';
import type { MargoOffer } from './margo-refused.ts';
import {
  keptMargoState,
  type MargoSelf,
  type MargoState,
  margoEnvelope,
  margoState,
  readableOf,
} from './margo-state.ts';

export interface MargoFinderInput {
  readonly link: MargoLink;
  readonly inflate: Inflate;
  readonly clock: Clock;
  readonly store: Store;
  readonly content: ContentStore;
  readonly name: string;
  row(): ChannelRow;
  /** a fault: this device does not know who it is to the manager */
  self(): Result<MargoSelf>;
  /** why the manager is not asked now; absent, or null: it is */
  quiet?(wake: Wake): Fault | null;
  /** before anything is asked; a fault: the manager does not know this device */
  introduce(): Promise<Result<void>>;
  /** The manager answered. */
  reached(): void;
  alsoFound(warnings: readonly string[]): void;
  /** A manifest was read, as far as it can be; whether it is accepted comes later. */
  offered?(offer: MargoOffer): void;
}

export interface MargoFinder extends Finder {
  /** verbatim, as it came with this manifest; empty: none, or it came before this start */
  etagOf(state: Digest): string;
}

interface Memory {
  readonly refused: Map<Digest, Extract<Found, { kind: 'refused' | 'waiting' }>>;
  etag: { readonly state: Digest; readonly text: string } | null;
  last: Look | null;
  highest: Point | null;
}

const EPOCH = 1n;

export function margoFinder(input: MargoFinderInput): MargoFinder {
  const memory: Memory = { refused: new Map(), etag: null, last: null, highest: null };
  return {
    async find(wake, signal) {
      const startedAt = input.clock.monotonicMs();
      const found = await look(input, memory, { wake, signal, startedAt });
      note(input, memory, wake, found);
      return found;
    },
    settle: () => undefined,
    refuse({ state }, why) {
      remember(memory, state.point.digest, refusal(input, why, state.point, false));
    },
    judge: (envelope, _via, startedAt) => judgeKept(input, sha256(envelope.payload), startedAt),
    forget: () => memory.refused.clear(),
    lastLook: () => memory.last,
    highest: () => memory.highest,
    etagOf: (state) => (memory.etag?.state === state ? memory.etag.text : ''),
  };
}

interface Looking {
  readonly wake: Wake;
  readonly signal: AbortSignal;
  readonly startedAt: number;
}

async function look(input: MargoFinderInput, memory: Memory, looking: Looking): Promise<Found> {
  // A bundle is of a channel that is signed; this one is believed for its connection.
  if (looking.wake.kind === 'bundle') return { kind: 'nothing', source: input.name };
  const quiet = input.quiet?.(looking.wake);
  if (quiet) return { ...refusal(input, quiet, null, false), kind: 'waiting' };
  const introduced = await input.introduce();
  if (!introduced.ok) return unserved(input, introduced.fault);
  const { floor, fleet } = input.row();
  const held = input.store.margoLink(fleet);
  const { etag = '', state = null } = (held.ok && held.value) || {};
  const shown = etag !== '' && state !== null && state === floor?.stateDigest ? etag : null;
  const answer = await input.link.manifest(shown, looking.signal);
  if (!answer.ok) return unserved(input, answer.fault);
  input.reached();
  if (answer.value.kind === 'unchanged') {
    return floor ? judgeKept(input, floor.stateDigest, looking.startedAt) : nothing(input);
  }
  const { bytes } = answer.value;
  const digest = sha256(bytes);
  memory.etag = { state: digest, text: answer.value.etag };
  const before = memory.refused.get(digest);
  if (before) return { ...before, again: true };
  // What waits for the owner's window is here, whole: it is not fetched at each poll.
  const waits = input.row().deferred?.to.stateDigest === digest;
  const whole = waits ? judgeKept(input, digest, looking.startedAt) : null;
  if (whole?.kind === 'candidate') return whole;
  const found = await judge(input, memory, { ...looking, bytes, digest });
  if (found.kind === 'refused') remember(memory, digest, found);
  return found;
}

async function judge(
  input: MargoFinderInput,
  memory: Memory,
  {
    bytes,
    digest,
    signal,
    startedAt,
  }: Looking & { readonly bytes: Uint8Array; readonly digest: Digest },
): Promise<Found> {
  const manifest = readMargoManifest(bytes);
  if (!manifest.ok) return refusal(input, manifest.fault, null, false);
  const point = { epoch: EPOCH, sequence: manifest.value.version, digest };
  memory.highest = point;
  const newness = sequence(input, point);
  if (newness.kind !== 'passed') {
    // M30: one manager, one line: what goes back or says two things is told as an attack.
    return refusal(input, newness.fault, point, newness.attack);
  }
  if (newness.value === 'current') return { kind: 'current', source: input.name };
  input.alsoFound(manifest.value.warnings);
  const source = { link: input.link, inflate: input.inflate, known: knownDocuments(input) };
  const documents = await fetchMargoDocuments(source, manifest.value, signal);
  if (!documents.ok) return unserved(input, documents.fault, point);
  const self = input.self();
  if (!self.ok) return unserved(input, self.fault, point);
  const of = [self.value, bytes, manifest.value, documents.value] as const;
  const made = margoState(...of);
  const deployments = made.ok ? made.value.deployments : readableOf(...of);
  const why = made.ok ? null : made.fault;
  input.offered?.({ version: point.sequence, digest, deployments, why });
  if (!made.ok) return refusal(input, made.fault, point, false);
  const headMs = input.clock.monotonicMs() - startedAt;
  return candidate(made.value, bytes, { startedAt, headMs });
}

/** What is on disk: accepted before, unchanged at the manager; or a try that goes on after a cut. */
function judgeKept(input: MargoFinderInput, digest: Digest, startedAt: number): Found {
  const kept = input.content.readStatement(digest);
  if (!kept.ok) return refusal(input, kept.fault, null, false);
  const self = input.self();
  if (!self.ok) return unserved(input, self.fault);
  const made = keptMargoState(kept.value, self.value);
  if (!made.ok) return refusal(input, made.fault, null, false);
  const { point } = made.value.state;
  const newness = sequence(input, point);
  if (newness.kind !== 'passed')
    return { ...refusal(input, newness.fault, point, false), again: true };
  if (newness.value === 'current') return { kind: 'current', source: input.name };
  return candidate(made.value, kept.value.envelope.payload, { startedAt, headMs: 0 });
}

// Check 13
function sequence({ row, store }: MargoFinderInput, point: Point): Outcome<Newness> {
  const held = row();
  const { floor, fleet, channel } = held;
  const rejected = store.rejected(fleet, channel);
  const showed = floor && {
    epoch: floor.epoch,
    sequence: floor.sequence,
    digest: floor.stateDigest,
  };
  return judgeSequence(point, {
    floor,
    appliedDigest: wholeInForce(held)?.stateDigest ?? null,
    rejected: new Map(
      (rejected.ok ? rejected.value : []).map((one) => [one.point.stateDigest, one] as const),
    ),
    rootEpoch: EPOCH,
    sourceHighest: showed,
    via: 'margo',
    retained: false,
  });
}

function candidate(
  { state, layer }: MargoState,
  manifest: Uint8Array,
  { startedAt, headMs }: { readonly startedAt: number; readonly headMs: number },
): Found {
  const inline = new Map(
    layer && state.documents ? [[state.documents.digest, layer] as const] : [],
  );
  const from = { manifestDigest: null, inline, source: null, startedAt, headMs };
  const envelope = margoEnvelope(manifest);
  const trace = { freshness: 'unknown', via: 'margo', checks: [] } as const;
  return { kind: 'candidate', candidate: { state, envelope, ...trace, ...from } };
}

/** Documents of the accepted, the applied and the waiting state, read when the first one is asked for. */
export function knownDocuments({
  content,
  row,
}: Pick<MargoFinderInput, 'content' | 'row'>): (digest: Digest) => Uint8Array | null {
  let known: Map<Digest, Uint8Array> | null = null;
  return (digest) => {
    if (!known) {
      const { floor, applied, deferred } = row();
      known = new Map();
      const states = [floor?.stateDigest, applied?.stateDigest, deferred?.to.stateDigest];
      for (const of of new Set(states)) {
        const kept = of ? content.readStatement(of) : null;
        const read = kept?.ok && kept.value.documents ? readDocuments(kept.value.documents) : null;
        for (const [name, bytes] of read?.ok ? read.value : []) known.set(name, bytes);
      }
    }
    return known.get(digest) ?? null;
  };
}

function nothing({ name }: MargoFinderInput): Found {
  return { kind: 'nothing', source: name };
}

/** Not refused: the manager may serve it at the next poll. */
function unserved(input: MargoFinderInput, why: Fault, offered: Point | null = null): Found {
  if (why.code.startsWith('link.')) return { kind: 'unreachable', fault: why, source: input.name };
  // Bytes that are wrong today may be right tomorrow: a manager can mend an archive.
  const waits = why.retry === 'never' ? fault('margo.bundle', { reason: why.message }) : why;
  return { ...refusal(input, waits, offered, false), kind: 'waiting' };
}

function refusal(
  { name: source }: MargoFinderInput,
  why: Fault,
  offered: Point | null,
  attack: boolean,
): Extract<Found, { kind: 'refused' | 'waiting' }> {
  return { kind: 'refused', fault: why, offered, via: 'margo', attack, source, again: false };
}

function remember(
  { refused }: Memory,
  digest: Digest,
  found: Extract<Found, { kind: 'refused' | 'waiting' }>,
): void {
  refused.set(digest, found);
  const oldest = refused.keys().next().value;
  if (refused.size > LIMITS.refusedRemembered && oldest) refused.delete(oldest);
}

function note(input: MargoFinderInput, memory: Memory, wake: Wake, found: Found): void {
  memory.last = {
    at: input.clock.wallMs(),
    wake: wake.kind,
    source: input.name,
    result: found.kind,
    fault: 'fault' in found ? found.fault : null,
    checks: [],
    point: memory.highest,
  };
}
