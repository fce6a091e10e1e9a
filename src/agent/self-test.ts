/**
 * Whether this executable works on this machine: the parts that come from outside its source (the
 * runtime's cryptography, the store's native code, the file system under a directory) do what the
 * agent builds on. Touches nothing but a directory of its own, removed at the end; needs no
 * configuration and no agent.
 */
import { type Fault, ok, type Result, refuse } from '#errors/fault.ts';
import type { Platform } from '#platform/platform.ts';
import { sha256 } from '#state/digest.ts';
import { openStore } from '#store/open.ts';
import { verifyEd25519 } from '#trust/ed25519.ts';

type Parts = Pick<
  Platform,
  'clock' | 'random' | 'files' | 'locks' | 'processes' | 'inflate' | 'keyFiles'
>;

export interface SelfTestRow {
  readonly name: string;
  /** null: passed */
  readonly fault: Fault | null;
  readonly tookMs: number;
}

/** @param under  an absolute path: the directory that the store is tried in is made below it */
export async function selfTest(parts: Parts, under: string): Promise<readonly SelfTestRow[]> {
  const rows: SelfTestRow[] = [];
  for (const [name, check] of CHECKS) {
    const started = parts.clock.monotonicMs();
    const result = await check(parts, under);
    const tookMs = parts.clock.monotonicMs() - started;
    rows.push({ name, fault: result.ok ? null : result.fault, tookMs });
  }
  return rows;
}

type Check = (parts: Parts, under: string) => Result<void> | Promise<Result<void>>;

const CHECKS: readonly (readonly [name: string, check: Check])[] = [
  ['sha-256', hashes],
  ['ed25519', verifies],
  ['device key', signs],
  ['randomness', isRandom],
  ['gzip', inflates],
  ['store', keeps],
];

/** FIPS 180-4, the one-block example. */
function hashes(): Result<void> {
  const got = sha256(new TextEncoder().encode('abc'));
  const wanted = 'sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
  return expected('SHA-256 of "abc"', got, wanted);
}

/** RFC 8032 section 7.1, test 2; then with one bit of the message changed. */
function verifies(): Result<void> {
  const key = bytes('3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c');
  const signature = bytes(
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da' +
      '085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  );
  const accepted = verifyEd25519(key, bytes('72'), signature);
  const forged = verifyEd25519(key, bytes('73'), signature);
  return expected('Ed25519 of a right and a wrong message', `${accepted} ${forged}`, 'true false');
}

async function signs({ keyFiles, random }: Parts): Promise<Result<void>> {
  const loaded = keyFiles.load(keyFiles.generate(null).privatePem, null);
  if (!loaded.ok) return loaded;
  const message = random.bytes(32);
  const signature = await loaded.value.sign(message);
  if (!signature.ok) return signature;
  const key = loaded.value.publicKey.subarray(-32);
  const verified = verifyEd25519(key, message, signature.value);
  return expected('the signature of a new key', String(verified), 'true');
}

function isRandom({ random }: Parts): Result<void> {
  const [first, second] = [hex(random.bytes(16)), hex(random.bytes(16))];
  return first !== second ? ok() : refuse('agent.self-test', { what: 'random bytes repeat' });
}

function inflates({ inflate }: Parts): Result<void> {
  const plain = new TextEncoder().encode('holdfast '.repeat(1_000));
  const out: Uint8Array[] = [];
  for (const chunk of inflate.gunzip([ok(inflate.gzip(plain))], plain.length)) {
    if (!chunk.ok) return chunk;
    out.push(chunk.value);
  }
  return expected('gzip and back', sha256(joined(out)), sha256(plain));
}

/** Makes a store, commits, closes, opens, reads: what every start of the agent does. */
function keeps(parts: Parts, under: string): Result<void> {
  const parent = parts.files.open(under, { follow: true });
  if (!parent.ok) return parent;
  const name = `holdfast-self-test-${hex(parts.random.bytes(6))}`;
  try {
    const made = parent.value.directory(name, { create: 0o700 });
    if (!made.ok) return made;
    made.value.close();
    return commitsAndReads(parts, `${under}/${name}`);
  } finally {
    parent.value.removeTree(name);
    parent.value.close();
  }
}

function commitsAndReads(parts: Parts, stateDir: string): Result<void> {
  const fleet = '0'.repeat(32);
  const written = parts.random.bytes(64);
  const first = openStore(parts, stateDir);
  if (!first.ok) return first;
  const committed = first.value.store.transaction((tx) => tx.putRoot(fleet, written));
  first.value.store.close();
  if (!committed.ok) return committed;
  const second = openStore(parts, stateDir);
  if (!second.ok) return second;
  const read = second.value.store.root(fleet);
  second.value.store.close();
  if (!read.ok) return read;
  const got = `${second.value.recovered} ${read.value === null ? 'nothing' : hex(read.value)}`;
  return expected('the store after closing and opening it', got, `opened ${hex(written)}`);
}

function expected(what: string, got: string, wanted: string): Result<void> {
  if (got === wanted) return ok();
  return refuse('agent.self-test', { what: `${what} is ${got}, not ${wanted}` });
}

function bytes(text: string): Uint8Array {
  return Uint8Array.from({ length: text.length / 2 }, (_, index) =>
    Number.parseInt(text.slice(index * 2, index * 2 + 2), 16),
  );
}

function hex(content: Uint8Array): string {
  return Array.from(content, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(chunks.reduce((size, chunk) => size + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}
