/**
 * `sign` and `publish`: what is not signed yet is signed and kept, then sent. A run that was cut is
 * simply run again: the same content gives the same bytes, because they are read from signed/.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Registry } from '#link/registry.ts';
import { checkValuesOnly } from '#plan/values.ts';
import type { Platform } from '#platform/platform.ts';
import { comparePoints, pointText } from '#state/point.ts';
import type { Parts } from './artifact.ts';
import { signersSoFar } from './attach.ts';
import { compileChannel } from './compile.ts';
import { authorityOf, type Fleet, fleetChannel, judgeInForce } from './fleet.ts';
import { isOutdated } from './head.ts';
import type { Passphrases } from './keys.ts';
import { type ChannelLine, readLine } from './line.ts';
import { type MargoForms, publishMargoForms } from './margo-oci.ts';
import { documentsFor } from './margo-parts.ts';
import { type PushEvent, type Pushed, pushState } from './push.ts';
import { renewed } from './renew.ts';
import { signStatement } from './sign.ts';
import { markTaken, type SignedState } from './signed.ts';
import { type Cargo, type Draft, draftStatement, saysTheSame } from './statement.ts';
import type { Waiting } from './waiting.ts';

export interface SignOptions {
  readonly passphrases: Passphrases;
  /** asked before anything is signed that takes deployments away */
  readonly confirmRemoval: (channel: string, removed: readonly string[]) => Promise<boolean>;
  /** a new number although nothing has changed: for a statement that ends soon */
  readonly renew: boolean;
  /** no private key is opened: all signatures are attached */
  readonly detached?: boolean;
}

export type Prepared =
  /** newly signed, or signed before and not yet at the registry's head */
  | { readonly kind: 'signed'; readonly signed: SignedState; readonly fresh: boolean }
  /** the registry's head says the same, signed by another folder of this fleet */
  | { readonly kind: 'unchanged'; readonly head: SignedState }
  /** kept, but the signatures of keys elsewhere are missing */
  | { readonly kind: 'waiting'; readonly waiting: Waiting };

/** Compiles the channel's folder and signs it where it differs from what was signed before. */
export async function prepareChannel(
  platform: Platform,
  fleet: Fleet,
  line: ChannelLine,
  options: SignOptions,
): Promise<Result<Prepared>> {
  const folder = `${fleet.directory}/channels/${line.channel.name}`;
  const compiled = compileChannel(platform, folder);
  if (!compiled.ok) return compiled;
  const { deployments, blobs, contents } = compiled.value;
  const along = documentsFor(platform, line.channel, compiled.value);
  if (!along.ok) return along;
  const documents = along.value;
  const layer = documents && { digest: documents.digest, size: documents.size };
  const cargo: Cargo = { deployments, blobs, documents: layer, promotedFrom: null };
  return prepareCargo(platform, fleet, line, { cargo, parts: { documents, contents }, options });
}

export async function prepareCargo(
  platform: Platform,
  fleet: Fleet,
  line: ChannelLine,
  next: { readonly cargo: Cargo; readonly parts: Parts; readonly options: SignOptions },
): Promise<Result<Prepared>> {
  const { cargo, parts, options } = next;
  const inForce = judgeInForce(fleet);
  if (!inForce.ok) return inForce;
  const fitting = checkValuesOnly(line.channel.name, cargo);
  if (!fitting.ok) return fitting;
  const draft = draftStatement(fleet, line.channel, cargo, line);
  const same = options.renew ? null : alreadySigned(line, draft);
  if (same) {
    const current = await broughtUp(platform, fleet, same, options);
    // keys elsewhere would have to sign it anew: they sign the next number instead
    if (current.ok || current.fault.code !== 'publish.signatures-missing') return current;
  }
  if (draft.removed.length > 0) {
    const { name } = line.channel;
    const confirmed = await options.confirmRemoval(name, draft.removed);
    const removed = draft.removed.join(', ');
    if (!confirmed) return refuse('publish.not-confirmed', { channel: name, removed });
  }
  const { passphrases, detached = false } = options;
  const before = new Set(line.previous?.blobs.map(({ digest }) => digest));
  const along = { ...parts, before };
  const statement = { unsigned: draft.unsigned, parts: along, passphrases, detached };
  const kept = await signStatement(platform, fleet, line.channel, statement);
  if (!kept.ok) return kept;
  if (kept.value.kind === 'waiting') return ok(kept.value);
  return ok({ kind: 'signed', signed: kept.value.signed, fresh: true });
}

/** With the roots and by the keys of the newest root (renew.ts). */
async function broughtUp(
  platform: Platform,
  fleet: Fleet,
  same: Prepared,
  { passphrases }: SignOptions,
): Promise<Result<Prepared>> {
  if (same.kind === 'waiting') return ok(same);
  const { kind } = same;
  if (kind === 'unchanged' && !isOutdated(same.head, fleet)) return ok(same);
  const signed = await renewed(
    platform,
    fleet,
    kind === 'signed' ? same.signed : same.head,
    passphrases,
  );
  return signed.ok ? ok({ kind: 'signed', signed: signed.value, fresh: false }) : signed;
}

/** Ours, when nobody has gone beyond it; else the head, when it says the same. */
function alreadySigned({ latest, head, waiting }: ChannelLine, draft: Draft): Prepared | null {
  const ours =
    latest !== null &&
    saysTheSame(latest.state, draft.unsigned) &&
    (!head ||
      comparePoints(latest.state.point, head.state.point) > 0 ||
      latest.state.point.digest === head.state.point.digest);
  if (ours) return { kind: 'signed', signed: latest, fresh: false };
  if (head && saysTheSame(head.state, draft.unsigned)) return { kind: 'unchanged', head };
  const next =
    waiting !== null &&
    saysTheSame(waiting.state, draft.unsigned) &&
    (!head || comparePoints(waiting.state.point, head.state.point) > 0);
  return next ? { kind: 'waiting', waiting } : null;
}

export interface Published {
  readonly head: SignedState;
  readonly signed: 'now' | 'before' | 'elsewhere';
  readonly pushed: Pushed;
  /** the OCI form of Margo beside it; null: not asked for */
  readonly forms: MargoForms | null;
}

/** Where fleet.yaml says; its tags move only here. */
export interface PushTarget {
  readonly channel: string;
  readonly registry: Registry;
  /** another repository of the same registry, for what goes beside the state; absent: nothing does */
  beside?(repository: string): Registry;
}

export async function publishChannel(
  platform: Platform,
  fleet: Fleet,
  target: PushTarget,
  options: SignOptions & { readonly report: (event: PushEvent) => void },
): Promise<Result<Published>> {
  const { channel, registry } = target;
  const line = await readLine(platform, fleet, channel, registry);
  if (!line.ok) return line;
  const prepared = await prepareChannel(platform, fleet, line.value, options);
  return prepared.ok
    ? pushPrepared(platform, fleet, { ...target, ...options }, prepared.value)
    : prepared;
}

export async function pushPrepared(
  platform: Pick<Platform, 'files' | 'inflate'>,
  fleet: Fleet,
  target: PushTarget & { readonly report: (event: PushEvent) => void },
  prepared: Prepared,
): Promise<Result<Published>> {
  const pushed = await pushOwn(platform, fleet, target, prepared);
  const { beside } = target;
  if (!pushed.ok || !beside) return pushed;
  // After the state, also where that was there already: the run before may have been cut in between.
  const forms = await publishMargoForms({ platform, fleet, head: pushed.value.head, beside });
  return forms.ok ? ok({ ...pushed.value, forms: forms.value }) : forms;
}

async function pushOwn(
  platform: Pick<Platform, 'files'>,
  fleet: Fleet,
  target: PushTarget & { readonly report: (event: PushEvent) => void },
  prepared: Prepared,
): Promise<Result<Published>> {
  const forms = null;
  if (prepared.kind === 'unchanged') {
    return ok({ head: prepared.head, signed: 'elsewhere', pushed: 'there-already', forms });
  }
  if (prepared.kind === 'waiting') return stillWaiting(fleet, prepared.waiting);
  const { signed, fresh } = prepared;
  const inForce = judgeInForce(fleet);
  if (!inForce.ok) return inForce;
  if (signed.under < fleet.root.version) return byFormerKeys(fleet, signed);
  const authority = authorityOf(fleet, target.channel);
  const pushed = await pushState(target.registry, signed, authority, target.report);
  if (!pushed.ok) {
    if (pushed.fault.code !== 'publish.sequence-taken') return pushed;
    const marked = markTaken(platform.files, fleet, target.channel, signed.state.point);
    return marked.ok ? pushed : marked;
  }
  return ok({ head: signed, signed: fresh ? 'now' : 'before', pushed: pushed.value, forms });
}

/** A bundle from before the keys changed: no device that knows the newest root would take it. */
function byFormerKeys({ root }: Fleet, { state }: SignedState): Result<never> {
  const { channel, point } = state;
  const { digest } = point;
  const { version } = root;
  return refuse('publish.former-head', { channel, point: pointText(point), digest, version });
}

/** A statement is sent when enough have signed it, and not before. */
export function stillWaiting(fleet: Fleet, { state, envelope, folder }: Waiting): Result<never> {
  const channel = fleetChannel(fleet, state.channel);
  if (!channel.ok) return channel;
  return refuse('publish.signatures-missing', {
    point: `${state.channel} ${pointText(state.point)}`,
    got: signersSoFar(fleet, channel.value, envelope),
    threshold: channel.value.role.threshold,
    folder,
  });
}
