/** Targets: signatures and keys as other tools write them, certificates, and the strict verifier. */
import { sign, X509Certificate } from 'node:crypto';
import { rootCertificates } from 'node:tls';
import { parseCertificates } from '#platform/node/certificates.ts';
import { readDer } from '#platform/node/der.ts';
import { rawFromSpki, spkiFromRaw, tweetnaclPrimitive, verifyEd25519 } from '#trust/ed25519.ts';
import { readForm } from '#trust/formats/catalogue.ts';
import { readMinisig } from '#trust/formats/minisign.ts';
import { readForeignKey } from '#trust/formats/public-key.ts';
import { readSignatureFile } from '#trust/formats/signature-file.ts';
import { readSignifySignature } from '#trust/formats/signify.ts';
import { readSshsig } from '#trust/formats/sshsig.ts';
import { writeEnvelope } from '#wire/envelope.ts';
import { bytesOf } from '../support/wire-samples.ts';
import {
  envelopeOf,
  MESSAGE,
  minisigBy,
  newP256Key,
  rawOf,
  SK,
  sshsigBy,
} from '../unit/trust/foreign.ts';
import { newKey } from '../unit/trust/world.ts';
import type { Target } from './engine.ts';
import { answerOf, promise } from './promises.ts';

const key = newKey();
const p256 = newP256Key();
const plain = new Uint8Array(sign(null, MESSAGE, key.secret));
const ecdsa = new Uint8Array(sign('sha256', MESSAGE, p256.secret));
const sshsig = sshsigBy(key);
const touched = sshsigBy(key, { type: SK });
const minisig = minisigBy(key);
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
const armoured = bytesOf(
  `-----BEGIN SSH SIGNATURE-----\n${base64(sshsig)}\n-----END SSH SIGNATURE-----\n`,
);
const signify = bytesOf(
  `untrusted comment: verify with plant.pub\n${base64(Buffer.concat([bytesOf('Ed'), new Uint8Array(8), plain]))}\n`,
);
const pem = bytesOf(`-----BEGIN PUBLIC KEY-----\n${base64(key.spki)}\n-----END PUBLIC KEY-----\n`);
const signed = envelopeOf([plain]);
const certificates = rootCertificates.slice(0, 2);

const FILES: readonly Target[] = [
  {
    name: 'SSHSIG',
    shape: 'bytes',
    seeds: [sshsig, touched],
    words: ['SSHSIG', 'ssh-rsa', 'sha1', SK],
    run: (input) => answerOf(readSshsig(input)),
  },
  {
    name: 'minisign',
    shape: 'armour',
    seeds: [minisig, bytesOf(Buffer.from(minisig).toString('latin1'))],
    run: (input) => answerOf(readMinisig(input)),
  },
  {
    name: 'signify',
    shape: 'armour',
    seeds: [signify],
    run: (input) => answerOf(readSignifySignature(input)),
  },
  {
    name: 'signature in an envelope',
    shape: 'bytes',
    seeds: [plain, ecdsa, sshsig, touched, minisig, signify],
    run: (input) => readForm(input).kind,
  },
  {
    name: 'signature file',
    shape: 'armour',
    seeds: [
      plain,
      armoured,
      minisig,
      signify,
      writeEnvelope(signed),
      bytesOf(`${base64(ecdsa)}\n`),
    ],
    run: (input) => answerOf(readSignatureFile(input, signed)),
  },
  {
    name: 'public key, SPKI and others',
    shape: 'armour',
    seeds: [key.spki, p256.spki, pem],
    words: ['-----BEGIN PRIVATE KEY-----', 'ssh-ed25519 ', 'untrusted comment: '],
    run: publicKey,
  },
  { name: 'DER', shape: 'bytes', seeds: [key.spki, certificateBytes(0)], run: der },
  {
    name: 'certificates, PEM',
    shape: 'armour',
    seeds: certificates.map(bytesOf),
    run: (input) => answerOf(parseCertificates(Buffer.from(input).toString('latin1'))),
  },
];

function certificateBytes(index: number): Uint8Array {
  return new Uint8Array(new X509Certificate(certificates[index] ?? '').raw);
}

function publicKey(input: Uint8Array): string {
  const result = readForeignKey(input);
  if (!result.ok) return answerOf(result);
  const raw = rawFromSpki(result.value.spki);
  promise(
    raw === null || Buffer.from(spkiFromRaw(raw)).equals(result.value.spki),
    'one SPKI a key',
  );
  return 'ok';
}

function der(input: Uint8Array): string {
  const values = readDer(input);
  if (values === null) return 'no DER';
  const whole = Buffer.concat(values.map((value) => value.whole));
  promise(whole.equals(input), 'all of the input, once');
  return 'ok';
}

const ORDER_L = 2n ** 252n + 27742317777372353535851937790883648493n;

/** The signature with S + L: the same to a lenient verifier. */
function malleated(signature: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(signature);
  let s = Buffer.from(copy.subarray(32))
    .reverse()
    .reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
  s += ORDER_L;
  for (let at = 32; at < 64; at += 1, s >>= 8n) copy[at] = Number(s & 0xffn);
  return copy;
}

const OWN = rawOf(key);
const TEXT = bytesOf('speed=1');
const good = new Uint8Array(sign(null, TEXT, key.secret));
const triple = (raw: Uint8Array, signature: Uint8Array) =>
  new Uint8Array(Buffer.concat([raw, signature, TEXT]));
/** points of small order, and encodings that are not canonical */
const ODD_POINTS = [
  new Uint8Array(32),
  Uint8Array.of(1, ...new Uint8Array(31)),
  Uint8Array.of(0xec, ...new Uint8Array(30).fill(0xff), 0x7f),
  Uint8Array.of(0xed, ...new Uint8Array(30).fill(0xff), 0x7f),
  new Uint8Array(32).fill(0xff),
];

/** A key, a signature and a message out of one input; both primitives behind our checks say the same. */
function strict(input: Uint8Array): string {
  const [raw, signature, message] = [
    input.subarray(0, 32),
    input.subarray(32, 96),
    input.subarray(96),
  ];
  const native = verifyEd25519(raw, message, signature);
  const second = verifyEd25519(raw, message, signature, tweetnaclPrimitive);
  promise(native === second, `one verdict: native ${native}, tweetnacl ${second}`);
  const own = new Uint8Array(sign(null, message, key.secret));
  promise(verifyEd25519(OWN, message, own), 'what is signed is accepted');
  if (native) promise(!verifyEd25519(raw, message, malleated(signature)), 'one S a signature');
  return native ? 'ok' : 'refused';
}

const STRICT: Target = {
  name: 'strict Ed25519, native against tweetnacl',
  shape: 'bytes',
  seeds: [
    triple(rawOf(key), good),
    triple(rawOf(key), malleated(good)),
    ...ODD_POINTS.map((point) => triple(point, good)),
    ...ODD_POINTS.map((point) =>
      triple(rawOf(key), Uint8Array.of(...point, ...new Uint8Array(32))),
    ),
  ],
  run: strict,
};

export const KEYS: readonly Target[] = [...FILES, STRICT];
