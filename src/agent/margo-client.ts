/**
 * Who this device is to a manager of the older dialects (MARGO.md section 10; M71): a certificate whose key
 * signs every request, and the id that the manager gave for it. Without a certificate of the owner's
 * the device makes one, in a 0600 file below `identity/margo`, which leaves with the identity. The id is
 * durable before it is used, and asked for once: only another certificate, or another manager, is
 * onboarded anew.
 */
import { type Fault, ok, type Result, refuse } from '#errors/fault.ts';
import type { MargoOnboarding } from '#link/margo-onboarding.ts';
import type { Directory, Files } from '#platform/files.ts';
import type { Log } from '#platform/log.ts';
import type { MessageKeyPair, MessageKeys, MessageSigner } from '#platform/message-keys.ts';
import { readIfThere, replaceFile } from '#platform/replace-file.ts';
import { sha256 } from '#state/digest.ts';
import { isClientId } from '#wire/margo-onboarding.ts';
import { isJsonObject, readStrictJson } from '#wire/strict-json.ts';
import type { MargoSigning } from './margo-config.ts';

export interface MargoClient {
  /** A file that cannot be read is no reason not to start what runs. */
  signer(): Result<MessageSigner>;
  /** Onboards once; answers from the disk afterwards. */
  id(onboarding: MargoOnboarding): Promise<Result<string>>;
}

export interface MargoClientInput {
  readonly files: Files;
  readonly keys: MessageKeys;
  readonly log: Log;
  readonly stateDir: string;
  /** of the manager */
  readonly url: string;
  readonly signing: MargoSigning;
  readonly deviceId: string;
  /** Unix ms that are certainly past: a certificate that is made begins then */
  floorMs(): number;
}

const PAIR_FILE = 'client.pem';
const CERTIFICATE_FILE = 'client.crt';
const ID_FILE = 'client.json';
const FILE_MAX = 64 * 1024;
const MODE = 0o700;
const SHOWN = 0o644;

interface Held {
  readonly signer: MessageSigner;
  readonly pair: MessageKeyPair;
  /** sha256:HEX of the certificate */
  readonly fingerprint: string;
}

export function margoClient(input: MargoClientInput): MargoClient {
  let held: Held | null = null;
  let known: { readonly fingerprint: string; readonly id: string } | null = null;
  let asking: Promise<Result<string>> | null = null;
  let looked = false;
  const key = (): Result<Held> => {
    if (held) return ok(held);
    const opened = open(input);
    if (opened.ok) held = opened.value;
    return opened;
  };
  const ask = async (onboarding: MargoOnboarding, own: Held): Promise<Result<string>> => {
    const id = await idOf(input, own, looked ? { ...onboarding, rootCa: nothing } : onboarding);
    looked = true;
    if (id.ok) known = { fingerprint: own.fingerprint, id: id.value };
    asking = null;
    return id;
  };
  return {
    signer() {
      const own = key();
      return own.ok ? ok(own.value.signer) : own;
    },
    async id(onboarding) {
      const own = key();
      if (!own.ok) return own;
      if (known) return ok(known.id);
      // Reports and polls ask at once: one onboarding serves both.
      asking ??= ask(onboarding, own.value);
      return asking;
    },
  };
}

/** Its root CA is looked at once: it decides nothing. */
async function nothing(): Promise<null> {
  return null;
}

function open(input: MargoClientInput): Result<Held> {
  const pair = input.signing.files ? ownersPair(input, input.signing.files) : ownPair(input);
  if (!pair.ok) return pair;
  const signer = input.keys.signer(pair.value);
  if (!signer.ok) return signer;
  const fingerprint = sha256(signer.value.certificate);
  return ok({ signer: signer.value, pair: pair.value, fingerprint });
}

function ownersPair(
  { files }: MargoClientInput,
  { cert, key }: { readonly cert: string; readonly key: string },
): Result<MessageKeyPair> {
  const [certificate, secret] = [files.readFile(cert, FILE_MAX), files.readFile(key, FILE_MAX)];
  if (!certificate.ok) return unusable(certificate.fault);
  if (!secret.ok) return unusable(secret.fault);
  return ok({ certificate: textOf(certificate.value), key: textOf(secret.value) });
}

function unusable({ message }: Fault): Result<MessageKeyPair> {
  return refuse('margo.signing-key', { reason: message });
}

/** Key and certificate in one file: there is no moment with one of the two. */
function ownPair(input: MargoClientInput): Result<MessageKeyPair> {
  return within(input, (directory) => {
    const found = readIfThere(directory, PAIR_FILE, FILE_MAX);
    if (!found.ok) return found;
    if (found.value) {
      const pem = textOf(found.value);
      return ok({ certificate: pem, key: pem });
    }
    const made = input.keys.make(input.deviceId, input.floorMs());
    // For the operator, who tells the manager which certificate to accept; without its key it is none.
    const shown = replaceFile(directory, CERTIFICATE_FILE, Buffer.from(made.certificate), SHOWN);
    if (!shown.ok) return shown;
    const put = replaceFile(directory, PAIR_FILE, Buffer.from(made.key + made.certificate));
    return put.ok ? ok(made) : put;
  });
}

async function idOf(
  input: MargoClientInput,
  { pair, fingerprint }: Held,
  onboarding: MargoOnboarding,
): Promise<Result<string>> {
  const { url, log } = input;
  const kept = within(input, (directory) => readIfThere(directory, ID_FILE, FILE_MAX));
  if (!kept.ok) return kept;
  const before = kept.value && keptId(kept.value, url, fingerprint);
  if (before) return ok(before);
  await tellRootCa(input, onboarding);
  const [pem = ''] =
    /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/.exec(pair.certificate) ?? [];
  const id = await onboarding.onboard({ pem: `${pem}\n`, fingerprint });
  if (!id.ok) return id;
  const record = JSON.stringify({ url, certificate: fingerprint, clientId: id.value });
  const put = within(input, (directory) => replaceFile(directory, ID_FILE, Buffer.from(record)));
  if (!put.ok) return put;
  log.write('info', 'margo.onboarded', { client: id.value, certificate: fingerprint });
  return id;
}

/** What the manager says of its root CA is told, and changes nothing: the owner's file counts. */
async function tellRootCa(
  { files, log, signing }: MargoClientInput,
  onboarding: MargoOnboarding,
): Promise<void> {
  const said = await onboarding.rootCa();
  if (!said) return;
  const pinned = files.readFile(signing.ca, FILE_MAX);
  const body = Buffer.from(said).toString('base64');
  const same = pinned.ok && textOf(pinned.value).replace(/\s/g, '').includes(body);
  log.write(same ? 'info' : 'warn', 'margo.root-ca', { says: sha256(said), pinned: same });
}

/** Null: of another manager or certificate, or no record at all. */
function keptId(bytes: Uint8Array, url: string, fingerprint: string): string | null {
  const read = readStrictJson(bytes, ID_FILE);
  if (!read.ok || !isJsonObject(read.value)) return null;
  const { url: of, certificate, clientId } = read.value;
  if (of !== url || certificate !== fingerprint) return null;
  return typeof clientId === 'string' && isClientId(clientId) ? clientId : null;
}

function within<T>(
  { files, stateDir }: MargoClientInput,
  use: (directory: Directory) => Result<T>,
): Result<T> {
  const directory = files.open(`${stateDir}/identity/margo`, { create: MODE, follow: true });
  if (!directory.ok) return directory;
  try {
    return use(directory.value);
  } finally {
    directory.value.close();
  }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}
