/**
 * Signs the next statement of a channel and keeps it as an image layout, fsynced, before anything
 * leaves this machine. What was signed is then judged as a device would: a fleet folder whose keys
 * and root do not fit together is found here.
 */
import { ok, type Result, refuse, refused } from '#errors/fault.ts';
import type { Platform } from '#platform/platform.ts';
import type { Signer } from '#platform/signer.ts';
import type { Digest } from '#state/digest.ts';
import type { Envelope, Signature } from '#state/envelope.ts';
import { PAYLOAD } from '#state/media-types.ts';
import { verifyAuthorship } from '#trust/authorship.ts';
import { pae } from '#trust/dsse.ts';
import { keyidOf } from '#trust/ed25519.ts';
import { type Unsigned, writeDesiredState } from '#wire/desired-state.ts';
import { makeArtifact } from './artifact.ts';
import type { Content } from './content.ts';
import { authorityOf, type Fleet, type FleetChannel } from './fleet.ts';
import { openSigner, type Passphrases, readPublicKey } from './keys.ts';
import { writeLayout } from './layout.ts';
import { folderName, openSigned, type SignedState, signedFolder, tagOf } from './signed.ts';

export interface Parts {
  readonly documents: Content | null;
  readonly contents: ReadonlyMap<Digest, Content>;
}

type SignPlatform = Pick<Platform, 'files' | 'keyFiles'>;

export async function signStatement(
  platform: SignPlatform,
  fleet: Fleet,
  channel: FleetChannel,
  statement: {
    readonly unsigned: Unsigned;
    readonly parts: Parts;
    readonly passphrases: Passphrases;
  },
): Promise<Result<SignedState>> {
  const { unsigned, parts, passphrases } = statement;
  const signers = await openSigners(platform, fleet, channel, passphrases);
  if (!signers.ok) return signers;
  const payload = writeDesiredState(unsigned);
  const signed = await signEnvelope(PAYLOAD.desiredState, payload, signers.value);
  if (!signed.ok) return signed;
  const verdict = verifyAuthorship(
    { envelope: signed.value, roots: [] },
    authorityOf(fleet, channel.name),
  );
  if (verdict.kind !== 'authored') return refused(verdict.fault);
  const artifact = makeArtifact(verdict.state, signed.value, parts);
  if (!artifact.ok) return artifact;
  const { point } = verdict.state;
  const place = { parent: signedFolder(fleet, channel.name), name: folderName(point) };
  const wrote = writeLayout(platform.files, place, artifact.value, tagOf(channel.name, point));
  if (!wrote.ok) return wrote;
  const kept = await openSigned(platform.files, fleet, channel.name, point);
  if (!kept.ok) return kept;
  const where = `${place.parent}/${place.name}`;
  return kept.value
    ? ok(kept.value)
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

/** As many of the channel's signers as its role wants; no passphrase is asked for one more. */
async function openSigners(
  platform: SignPlatform,
  fleet: Fleet,
  { name: channel, config, role }: FleetChannel,
  passphrases: Passphrases,
): Promise<Result<readonly Signer[]>> {
  const { threshold } = role;
  if (config.signers.length < threshold) {
    const got = config.signers.length;
    return refuse('publish.too-few-signers', { channel, got, threshold });
  }
  const signers: Signer[] = [];
  for (const name of config.signers.slice(0, threshold)) {
    const key = { use: 'signing', name } as const;
    const open = readPublicKey(platform, fleet.directory, key);
    if (!open.ok) return open;
    if (!role.keyids.includes(open.value.keyid)) {
      return refuse('publish.key-not-in-role', { key: name, channel, role: role.name });
    }
    const signer = await openSigner(platform, fleet.directory, key, passphrases);
    if (!signer.ok) return signer;
    signers.push(signer.value);
  }
  return ok(signers);
}
