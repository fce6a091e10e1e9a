/** Signatures in the forms of other tools, made here byte by byte so that a test can bend each one. */
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import type { Envelope } from '#state/envelope.ts';
import { PAYLOAD } from '#state/media-types.ts';
import type { Root, RootKey } from '#state/root.ts';
import { pae } from '#trust/dsse.ts';
import { keyidOf } from '#trust/ed25519.ts';
import { writeDesiredState } from '#wire/desired-state.ts';
import { ROOT_KEY, role, root, rootKey, statement, type TestKey } from './world.ts';

export const SK = 'sk-ssh-ed25519@openssh.com';
export const NAMESPACE = 'holdfast.state.v1';

export function rawOf({ spki }: TestKey): Uint8Array {
  return spki.slice(-32);
}

export function newP256Key(): TestKey {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }));
  return { keyid: keyidOf(spki), spki, secret: privateKey };
}

/** A root whose channel `stable` is signed by these records, `threshold` of them. */
export function rootOf(records: readonly RootKey[], threshold = 1): Root {
  const keyids = [...new Set(records.map(({ keyid }) => keyid))];
  return root({
    keys: [rootKey(ROOT_KEY), ...records],
    roles: [role('root', [ROOT_KEY]), { name: 'stable-signers', threshold, keyids }],
    channels: [{ name: 'stable', role: 'stable-signers', epoch: 1n }],
  });
}

const PAYLOAD_BYTES = writeDesiredState(statement());
export const MESSAGE = pae(PAYLOAD.desiredState, PAYLOAD_BYTES);

/** 1.58 of `stable` with exactly these signatures. */
export function envelopeOf(
  sigs: readonly Uint8Array[],
  payloadType: string = PAYLOAD.desiredState,
): Envelope {
  const signatures = sigs.map((sig) => ({ keyid: '', sig }));
  return { payloadType, payload: PAYLOAD_BYTES, signatures };
}

export interface SshsigParts {
  readonly magic: string;
  readonly version: number;
  readonly type: string;
  readonly innerType: string;
  readonly raw: Uint8Array;
  readonly application: string;
  readonly namespace: string;
  readonly reserved: string;
  readonly hash: string;
  /** what is hashed by the algorithm that is named, where there is such a one */
  readonly message: Uint8Array;
  readonly flags: number;
  readonly counter: number;
  readonly after: Uint8Array;
  readonly afterInner: Uint8Array;
}

/** By `key`, right in everything that `more` does not change: what it names is what is signed, too. */
export function sshsigBy(key: TestKey, more: Partial<SshsigParts> = {}): Uint8Array {
  const parts: SshsigParts = {
    magic: 'SSHSIG',
    version: 1,
    type: 'ssh-ed25519',
    innerType: more.type ?? 'ssh-ed25519',
    raw: rawOf(key),
    application: 'ssh:',
    namespace: NAMESPACE,
    reserved: '',
    hash: 'sha512',
    message: MESSAGE,
    flags: 1,
    counter: 7,
    after: new Uint8Array(),
    afterInner: new Uint8Array(),
    ...more,
  };
  const sk = parts.type === SK;
  const hashed = createHash(parts.hash === '' ? 'sha512' : parts.hash).update(parts.message);
  const blob = Buffer.concat([
    Buffer.from('SSHSIG'),
    ...[parts.namespace, parts.reserved, parts.hash, hashed.digest()].map(counted),
  ]);
  const touched = Buffer.concat([Buffer.from([parts.flags]), uint32(parts.counter)]);
  const signed = sk ? Buffer.concat([sha256(parts.application), touched, sha256(blob)]) : blob;
  const publicKey = [parts.type, parts.raw, ...(sk ? [parts.application] : [])].map(counted);
  const inner = [
    counted(parts.innerType),
    counted(sign(null, signed, key.secret)),
    ...(sk ? [touched] : []),
    parts.afterInner,
  ];
  return bytes(
    Buffer.from(parts.magic),
    uint32(parts.version),
    counted(Buffer.concat(publicKey)),
    counted(parts.namespace),
    counted(parts.reserved),
    counted(parts.hash),
    counted(Buffer.concat(inner)),
    parts.after,
  );
}

export interface MinisigParts {
  readonly algorithm: string;
  /** what the first signature is over */
  readonly over: Uint8Array;
  /** what the file says; the global signature is over `signedComment` */
  readonly trustedComment: string;
  readonly signedComment: string;
}

/** A minisign file by `key`, as `minisign -S` writes it today unless `more` says otherwise. */
export function minisigBy(key: TestKey, more: Partial<MinisigParts> = {}): Uint8Array {
  const comment = more.trustedComment ?? 'timestamp:1795392000\tfile:pae.bin\thashed';
  const over = more.over ?? createHash('blake2b512').update(MESSAGE).digest();
  const signature = sign(null, over, key.secret);
  const global = sign(
    null,
    Buffer.concat([signature, Buffer.from(more.signedComment ?? comment)]),
    key.secret,
  );
  const first = Buffer.concat([Buffer.from(more.algorithm ?? 'ED'), Buffer.alloc(8, 1), signature]);
  const lines = [
    'untrusted comment: signature from minisign secret key',
    first.toString('base64'),
    `trusted comment: ${comment}`,
    global.toString('base64'),
    '',
  ];
  return bytes(Buffer.from(lines.join('\n')));
}

export function bytes(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function counted(value: string | Uint8Array): Buffer {
  const body = Buffer.from(value);
  return Buffer.concat([uint32(body.length), body]);
}

function uint32(value: number): Buffer {
  const four = Buffer.alloc(4);
  four.writeUInt32BE(value);
  return four;
}

function sha256(value: string | Uint8Array): Buffer {
  return createHash('sha256').update(value).digest();
}
