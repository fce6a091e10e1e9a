/**
 * `init`: a new fleet. Keys, the first root document signed by the root keys, fleet.yaml and
 * examples. fleet.yaml is written last: a folder that a cut left half made is no fleet.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Platform } from '#platform/platform.ts';
import type { Signer } from '#platform/signer.ts';
import { PAYLOAD } from '#state/media-types.ts';
import { isId } from '#state/names.ts';
import type { Role, Root } from '#state/root.ts';
import { TIME_ROLE } from '#state/time-statement.ts';
import { openRoot } from '#trust/root-chain.ts';
import { viewTime } from '#trust/time.ts';
import { writeEnvelope } from '#wire/envelope.ts';
import { writeRoot } from '#wire/root.ts';
import { type ExampleFile, exampleFiles, fleetYaml, schemaFiles, signerName } from './examples.ts';
import {
  addKey,
  createKey,
  openSigner,
  type Passphrases,
  type PublicKey,
  rootKeyOf,
} from './keys.ts';
import { splitLast } from './place.ts';
import { signEnvelope } from './sign.ts';

export interface InitOptions {
  /** absolute; absent or empty */
  readonly directory: string;
  readonly name: string;
  readonly channels: readonly string[];
  /** channels signed by a key that somebody else has: its public key file */
  readonly signers: ReadonlyMap<string, Uint8Array>;
  readonly rootKeys: number;
  readonly rootThreshold: number;
  /** a key of the role time, online: devices without a clock ask it */
  readonly timeKey: boolean;
  /** all keys stay together; agents refuse the root unless trust.allowDemo */
  readonly demo: boolean;
  readonly examples: boolean;
  readonly registry: string | null;
  readonly mqtt: string | null;
  readonly insecure: boolean;
  readonly buildTimeMs: number;
  readonly passphrases: Passphrases;
}

export interface NewFleet {
  readonly root: Root;
  readonly rootKeys: readonly PublicKey[];
  readonly signingKeys: readonly PublicKey[];
  readonly timeKeys: readonly PublicKey[];
}

const FOLDER_MODE = 0o755;
const PLAIN = 0o644;
const FLEET_BYTES = 16;
const GITIGNORE =
  '# Private keys never leave this folder by git.\nkeys/**/*.pem\n!keys/**/*.pub.pem\n';

export async function initFleet(
  platform: Platform,
  options: InitOptions,
): Promise<Result<NewFleet>> {
  if (options.timeKey && options.channels.includes(TIME_ROLE)) {
    return refuse('publish.time-channel', {});
  }
  const empty = makeEmpty(platform, options.directory);
  if (!empty.ok) return empty;
  const { name, channels, registry, mqtt, insecure } = options;
  // before any key: what must never be committed is named
  const ignored = writeFiles(platform, options.directory, [
    { path: '.gitignore', text: GITIGNORE, mode: PLAIN },
  ]);
  if (!ignored.ok) return ignored;
  const rootNames = Array.from({ length: options.rootKeys }, (_, i) => `root-${i + 1}`);
  const rootKeys = await createKeys(platform, options, 'root', rootNames);
  if (!rootKeys.ok) return rootKeys;
  const signingKeys = await channelKeys(platform, options);
  if (!signingKeys.ok) return signingKeys;
  const timeKeys = options.timeKey
    ? await createKeys(platform, options, 'signing', [TIME_ROLE])
    : ok({ keys: [], signers: [] });
  if (!timeKeys.ok) return timeKeys;
  const keys = {
    rootKeys: rootKeys.value.keys,
    signingKeys: signingKeys.value,
    timeKeys: timeKeys.value.keys,
  };
  const root = makeRoot(platform, options, keys);
  const signed = await signEnvelope(PAYLOAD.root, writeRoot(root), rootKeys.value.signers);
  if (!signed.ok) return signed;
  const bytes = writeEnvelope(signed.value);
  const opened = openRoot(bytes); // as an agent will
  if (!opened.ok) return opened;
  const examples = options.examples ? channels.filter(isId).flatMap(exampleFiles) : [];
  const text = new TextDecoder().decode(bytes);
  const wrote = writeFiles(platform, options.directory, [
    ...examples,
    ...schemaFiles(),
    { path: 'root/1.root.json', text, mode: PLAIN },
    {
      path: 'fleet.yaml',
      text: fleetYaml({ name, channels, registry, mqtt, insecure }),
      mode: PLAIN,
    },
  ]);
  return wrote.ok ? ok({ root: opened.value, ...keys }) : wrote;
}

/** One for each channel, in their order: added where somebody else signs, else made here. */
async function channelKeys(
  platform: Platform,
  options: InitOptions,
): Promise<Result<readonly PublicKey[]>> {
  const { directory, channels, signers } = options;
  const keys = new Map<string, PublicKey>();
  for (const [channel, file] of signers) {
    const name = signerName(channel);
    const key = addKey(platform, directory, { use: 'signing', name }, { file, scheme: null });
    if (!key.ok) return key;
    keys.set(name, key.value);
  }
  const own = channels.filter((name) => !signers.has(name)).map(signerName);
  const made = own.length === 0 ? null : await createKeys(platform, options, 'signing', own);
  if (made && !made.ok) return made;
  for (const key of made?.value.keys ?? []) keys.set(key.name, key);
  return ok(channels.flatMap((name) => keys.get(signerName(name)) ?? []));
}

/** As `root add-channel` names it. */
function roleOf(channel: string): string {
  return `channel.${signerName(channel)}`;
}

/** One passphrase for the keys of one use: root keys are to be taken elsewhere together. */
async function createKeys(
  platform: Platform,
  { directory, passphrases }: InitOptions,
  use: 'root' | 'signing',
  names: readonly string[],
): Promise<Result<{ readonly keys: readonly PublicKey[]; readonly signers: readonly Signer[] }>> {
  const passphrase = await passphrases(`the ${use} keys`, 'create');
  if (!passphrase.ok) return passphrase;
  const keys: PublicKey[] = [];
  const signers: Signer[] = [];
  for (const name of names) {
    const key = await createKey(platform, directory, { use, name }, passphrase.value);
    if (!key.ok) return key;
    keys.push(key.value);
    if (use === 'signing') continue;
    const known: Passphrases = () => Promise.resolve(ok(passphrase.value));
    const signer = await openSigner(platform, directory, { use, name }, known);
    if (!signer.ok) return signer;
    signers.push(signer.value);
  }
  return ok({ keys, signers });
}

function makeRoot(
  platform: Platform,
  options: InitOptions,
  { rootKeys, signingKeys, timeKeys }: Omit<NewFleet, 'root'>,
): Root {
  const wallMs = platform.clock.wallMs();
  const roles = options.channels.map((name, index): Role => {
    const keyid = signingKeys[index]?.keyid;
    return { name: roleOf(name), threshold: 1, keyids: keyid === undefined ? [] : [keyid] };
  });
  return {
    fleet: Buffer.from(platform.random.bytes(FLEET_BYTES)).toString('hex'),
    version: 1n,
    issuedAt: viewTime({ floorMs: options.buildTimeMs, wallMs }).estimateMs,
    notAfter: 0,
    keys: [...rootKeys, ...signingKeys, ...timeKeys].map(rootKeyOf),
    roles: [
      {
        name: 'root',
        threshold: options.rootThreshold,
        keyids: rootKeys.map(({ keyid }) => keyid),
      },
      ...roles,
      ...timeKeys.map(({ keyid }) => ({ name: TIME_ROLE, threshold: 1, keyids: [keyid] })),
    ],
    channels: options.channels.map((name) => ({ name, role: roleOf(name), epoch: 1n })),
    timeReset: null,
    demo: options.demo,
    critical: [],
    tls: null,
  };
}

function makeEmpty(platform: Platform, directory: string): Result<undefined> {
  const folder = platform.files.open(directory, { follow: true, create: FOLDER_MODE });
  if (!folder.ok) return folder;
  const names = folder.value.list();
  folder.value.close();
  if (!names.ok) return names;
  // `git init` first is as good an order as any
  const inTheWay = names.value.filter((name) => name !== '.git');
  return inTheWay.length === 0 ? ok() : refuse('publish.folder-exists', { directory });
}

function writeFiles(
  platform: Platform,
  directory: string,
  files: readonly ExampleFile[],
): Result<undefined> {
  for (const { path, text, mode } of files) {
    const { directory: below, name } = splitLast(`${directory}/${path}`);
    const folder = platform.files.open(below, { follow: true, create: FOLDER_MODE });
    if (!folder.ok) return folder;
    const wrote = folder.value.write(name, new TextEncoder().encode(text), mode);
    const synced = wrote.ok ? folder.value.sync() : wrote;
    folder.value.close();
    if (!synced.ok) return synced;
  }
  return ok();
}
