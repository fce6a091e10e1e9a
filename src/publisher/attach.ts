/**
 * Adds a signature made with another tool to a statement that waits for it. The verifier of the
 * devices says whose it is: each key of the channel's role is tried alone, so that what is kept is
 * one good signature of a known key. When enough have signed, the statement is signed.
 */
import { ok, type Result, refuse, refused } from '#errors/fault.ts';
import type { Files } from '#platform/files.ts';
import type { Envelope, Signature } from '#state/envelope.ts';
import { pointText } from '#state/point.ts';
import type { RootKey } from '#state/root.ts';
import { verifyAuthorship } from '#trust/authorship.ts';
import { keyidOf } from '#trust/ed25519.ts';
import { readSignatureFile, type SignatureFile } from '#trust/formats/signature-file.ts';
import { rulesOf } from '#trust/scheme.ts';
import { countSigners } from '#trust/threshold.ts';
import { authorityOf, type Fleet, type FleetChannel } from './fleet.ts';
import type { SignedState } from './signed.ts';
import { finishWaiting, keepSignatures, type Waiting } from './waiting.ts';

export type Attached =
  | { readonly kind: 'signed'; readonly signed: SignedState; readonly keyids: readonly string[] }
  | { readonly kind: 'waiting'; readonly waiting: Waiting; readonly keyids: readonly string[] };

/** @param given.keyid  the key that must have signed; null: any of the role */
export async function attachSignature(
  files: Files,
  fleet: Fleet,
  channel: FleetChannel,
  given: {
    readonly waiting: Waiting;
    readonly file: Uint8Array;
    readonly keyid: string | null;
  },
): Promise<Result<Attached>> {
  const { waiting, file, keyid } = given;
  const keys = keysOf(fleet, channel).filter((key) => keyid === null || idOf(key) === keyid);
  if (keys.length === 0) {
    const { name, role } = channel;
    return refuse('publish.key-not-in-role', {
      key: keyid?.slice(0, 16) ?? '–',
      channel: name,
      role: role.name,
    });
  }
  const read = readSignatureFile(file, waiting.envelope);
  if (!read.ok) return read;
  const found = goodSignatures(waiting.envelope, fleet, keys, read.value);
  if (found.length === 0) {
    const point = `${channel.name} ${pointText(waiting.state.point)}`;
    const reason = whyNone(waiting.envelope, fleet, keys, read.value);
    return refuse('publish.signature-refused', { point, reason });
  }
  const envelope = withSignatures(waiting.envelope, found);
  const kept = keepSignatures(files, waiting, envelope);
  if (!kept.ok) return kept;
  const keyids = found.map((signature) => signature.keyid);
  const verdict = verifyAuthorship({ envelope, roots: [] }, authorityOf(fleet, channel.name));
  if (verdict.kind === 'authored') {
    const signed = await finishWaiting(files, fleet, waiting, verdict.envelope);
    return signed.ok ? ok({ kind: 'signed', signed: signed.value, keyids }) : signed;
  }
  return verdict.fault.code === 'trust.threshold'
    ? ok({ kind: 'waiting', waiting: { ...waiting, envelope }, keyids })
    : refused(verdict.fault);
}

/** Distinct keys of the channel's role whose signatures are there. */
export function signersSoFar(fleet: Fleet, channel: FleetChannel, envelope: Envelope): number {
  return countSigners(envelope, fleet.root, channel.role, fleet.time.floorMs).signers.length;
}

function goodSignatures(
  envelope: Envelope,
  fleet: Fleet,
  keys: readonly RootKey[],
  { sigs, holdsFor }: SignatureFile,
): readonly Signature[] {
  return sigs.flatMap((sig) =>
    keys.flatMap((key): readonly Signature[] => {
      const raw = rulesOf(key.scheme)?.rawFrom(key.publicKey);
      if (!raw || !holdsFor(raw)) return [];
      const { signers } = countAlone(envelope, fleet, key, sig);
      return signers.map((keyid) => ({ keyid, sig }));
    }),
  );
}

function countAlone(envelope: Envelope, fleet: Fleet, key: RootKey, sig: Uint8Array) {
  const alone = { ...envelope, signatures: [{ keyid: key.keyid, sig }] };
  const role = { name: 'attached', threshold: 1, keyids: [key.keyid] };
  return countSigners(alone, fleet.root, role, fleet.time.floorMs);
}

/** A key signs once: a later signature by it replaces the earlier. */
function withSignatures(envelope: Envelope, found: readonly Signature[]): Envelope {
  const byKey = new Map(envelope.signatures.map((signature) => [signature.keyid, signature]));
  for (const signature of found) byKey.set(signature.keyid, signature);
  return { ...envelope, signatures: [...byKey.values()] };
}

function whyNone(
  envelope: Envelope,
  fleet: Fleet,
  keys: readonly RootKey[],
  { from, sigs, holdsFor }: SignatureFile,
): string {
  const told = sigs.flatMap((sig) =>
    keys.flatMap((key) => countAlone(envelope, fleet, key, sig).unusable),
  );
  if (told.length > 0) return [...new Set(told)].join('; ');
  const schemes = [...new Set(keys.map(({ scheme }) => scheme))].join(', ');
  if (from === 'minisign' && !schemes.includes('blake2b512')) {
    return `minisign prehashed it, and the root records ${schemes}: sign with \`minisign -l\``;
  }
  if (from === 'minisign, old form' && schemes === 'ed25519-blake2b512') {
    return 'it is minisign’s old form, and the root records prehashing: sign without `-l`';
  }
  const raws = keys.flatMap(({ scheme, publicKey }) => rulesOf(scheme)?.rawFrom(publicKey) ?? []);
  if (raws.length > 0 && !raws.some(holdsFor)) return 'its trusted comment was not signed with it';
  return `none of ${keys.length} keys (${schemes}) made it over these bytes`;
}

function keysOf({ root }: Fleet, { role }: FleetChannel): readonly RootKey[] {
  return root.keys.filter(({ keyid }) => role.keyids.includes(keyid));
}

function idOf({ publicKey }: RootKey): string {
  return keyidOf(publicKey);
}
