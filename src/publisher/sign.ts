/**
 * Signs the next statement of a channel and keeps it as an image layout, fsynced, before anything
 * leaves this machine. What was signed is then judged as a device would: a fleet folder whose keys
 * and root do not fit together is found here.
 */
import { ok, type Result, refuse, refused } from '#errors/fault.ts';
import type { Platform } from '#platform/platform.ts';
import type { Signer } from '#platform/signer.ts';
import type { Envelope, Signature } from '#state/envelope.ts';
import { verifyAuthorship } from '#trust/authorship.ts';
import { pae } from '#trust/dsse.ts';
import { keyidOf } from '#trust/ed25519.ts';
import type { Unsigned } from '#wire/desired-state.ts';
import { payloadTypeOf, readStatement, writeStatement } from '#wire/margo-statement.ts';
import { makeArtifact, type Parts } from './artifact.ts';
import { authorityOf, type Fleet, type FleetChannel, rootLayers } from './fleet.ts';
import { openSigner, type Passphrases, readPublicKey } from './keys.ts';
import { writeLayout } from './layout.ts';
import { folderName, openSigned, type SignedState, signedFolder, tagOf } from './signed.ts';
import { keepWaiting, type Waiting } from './waiting.ts';

type SignPlatform = Pick<Platform, 'files' | 'keyFiles'>;

export type Kept =
  | { readonly kind: 'signed'; readonly signed: SignedState }
  /** keys elsewhere have to sign it: their signatures are attached */
  | { readonly kind: 'waiting'; readonly waiting: Waiting };

export async function signStatement(
  platform: SignPlatform,
  fleet: Fleet,
  channel: FleetChannel,
  statement: {
    readonly unsigned: Unsigned;
    readonly parts: Parts;
    readonly passphrases: Passphrases;
    /** no private key is opened, although it is here */
    readonly detached: boolean;
  },
): Promise<Result<Kept>> {
  const { unsigned, parts, passphrases, detached } = statement;
  const signers = await openSigners(platform, fleet, channel, { passphrases, detached });
  if (!signers.ok) return signers;
  const payload = writeStatement(unsigned);
  const signed = await signEnvelope(payloadTypeOf(channel.name), payload, signers.value);
  if (!signed.ok) return signed;
  if (signers.value.length < channel.role.threshold) {
    const state = readStatement(signed.value);
    if (!state.ok) return state;
    const made = { envelope: signed.value, parts };
    const waiting = await keepWaiting(platform.files, fleet, state.value, made);
    return waiting.ok ? ok({ kind: 'waiting', waiting: waiting.value }) : waiting;
  }
  const verdict = verifyAuthorship(
    { envelope: signed.value, roots: [] },
    authorityOf(fleet, channel.name),
  );
  if (verdict.kind !== 'authored') return refused(verdict.fault);
  const artifact = makeArtifact(verdict.state, signed.value, {
    ...parts,
    roots: rootLayers(fleet),
  });
  if (!artifact.ok) return artifact;
  const { point } = verdict.state;
  const place = { parent: signedFolder(fleet, channel.name), name: folderName(point) };
  const wrote = writeLayout(platform.files, place, artifact.value, tagOf(channel.name, point));
  if (!wrote.ok) return wrote;
  const kept = await openSigned(platform.files, fleet, channel.name, point);
  if (!kept.ok) return kept;
  const where = `${place.parent}/${place.name}`;
  return kept.value
    ? ok({ kind: 'signed', signed: kept.value })
    : refuse('publish.nothing-signed', { channel: channel.name, where });
}

/** DSSE over the payload, one signature for each signer. */
export async function signEnvelope(
  payloadType: string,
  payload: Uint8Array,
  signers: readonly Signer[],
): Promise<Result<Envelope>> {
  const signatures: Signature[] = [];
  for (const signer of signers) {
    const sig = await signer.sign(pae(payloadType, payload));
    if (!sig.ok) return sig;
    signatures.push({ keyid: keyidOf(signer.publicKey), sig: sig.value });
  }
  return ok({ payloadType, payload, signatures });
}

/**
 * As many of the channel's signers as its role wants; no passphrase is asked for one more. Fewer
 * where the private keys of signers are elsewhere.
 */
export async function openSigners(
  platform: SignPlatform,
  fleet: Fleet,
  { name: channel, config, role }: FleetChannel,
  how: { readonly passphrases: Passphrases; readonly detached: boolean },
): Promise<Result<readonly Signer[]>> {
  const { threshold } = role;
  if (config.signers.length < threshold) {
    const got = config.signers.length;
    return refuse('publish.too-few-signers', { channel, got, threshold });
  }
  const signers: Signer[] = [];
  let elsewhere = 0;
  for (const name of config.signers) {
    if (signers.length === threshold) break;
    const key = { use: 'signing', name } as const;
    const open = readPublicKey(platform, fleet.directory, key);
    if (!open.ok) return open;
    if (!role.keyids.includes(open.value.keyid)) {
      return refuse('publish.key-not-in-role', { key: name, channel, role: role.name });
    }
    if (how.detached || open.value.elsewhere) {
      elsewhere += 1;
      continue;
    }
    const signer = await openSigner(platform, fleet.directory, key, how.passphrases);
    if (!signer.ok) return signer;
    signers.push(signer.value);
  }
  const got = signers.length + elsewhere;
  return got >= threshold
    ? ok(signers)
    : refuse('publish.too-few-signers', { channel, got, threshold });
}
