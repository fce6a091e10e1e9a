/**
 * Time statements as an attacker has them, offered to the compiled executable over a real broker, a
 * real registry and by hand, to a device whose clock stands at 1970: each is refused with its code,
 * attests nothing, and targets, state and floor do not change by a byte. An honest answer afterwards
 * counts.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import {
  EnvelopeSchema,
  type TimeStatement,
  TimeStatementSchema,
} from '#wire/generated/holdfast_pb.ts';
import { AT_1970, faketime } from '../support/dead-clock.ts';
import { type Device, treeOf } from '../support/device.ts';
import { eventually } from '../support/eventually.ts';
import {
  type Artifact,
  changed,
  channelKey,
  digestOf,
  fetchArtifact,
  keyOf,
  newKey,
  putManifest,
  type SigningKey,
  say,
  signState,
  twin,
} from '../support/forge.ts';
import {
  filesSpec,
  makePlant,
  missing,
  type Parts,
  type Plant,
  startParts,
} from '../support/plant.ts';
import { transactionId } from '../support/store-file.ts';

const lacks = missing ?? (faketime ? null : 'no faketime');
const real = lacks === null ? test : test.skip;
const title = (what: string) => (lacks === null ? what : `${what} (${lacks})`);
const TIME_TYPE = 'application/vnd.holdfast.time.v1+protobuf';
const YEAR = 365 * 24 * 3_600_000;

let parts: Parts;
let plant: Plant;
let device: Device;
let honest: Artifact;
let time: SigningKey;

beforeAll(async () => {
  if (lacks !== null) return;
  parts = await startParts();
  plant = await makePlant(parts, { init: ['--time-key'] });
  device = plant.device('press-7', { channel: 'stable', wrap: AT_1970 });
  await publish(1);
  await device.start();
  await device.command(['apply']);
  await device.applied('1.1');
  await device.linked();
  honest = await fetchArtifact(plant.registry, 'stable');
  time = keyOf(readFileSync(join(plant.fleetFolder, 'keys/signing/time.pem'), 'utf8'));
});
afterAll(async () => {
  await plant?.remove();
  await parts?.remove();
});

async function publish(speed: number, ...flags: readonly string[]): Promise<void> {
  plant.write('stable', 'speed.conf', `speed=${speed}\n`);
  const conf = { blob: 'speed.conf', target: join(device.opt, 'speed.conf') };
  plant.deploy('stable', 'conf', filesSpec({ conf }));
  await plant.publish('stable', ...flags);
}

type Fields = Partial<Omit<TimeStatement, '$typeName'>>;

/** What the time authority would sign now, changed. DSSE JSON. */
function signTime(fields: Fields = {}, keys: readonly SigningKey[] = [time]): Buffer {
  const statement = create(TimeStatementSchema, {
    specVersion: 1,
    fleet: Buffer.from(plant.fleet, 'hex'),
    at: BigInt(Date.now()),
    rootVersion: 1n,
    ...(fields as object),
  });
  return signState(toBinary(TimeStatementSchema, statement), keys, TIME_TYPE);
}

const headOf = (sequence: bigint, digest: string) =>
  ({
    heads: [{ channel: 'stable', epoch: 1n, sequence, stateDigest: raw(digest) }],
  }) as unknown as Fields;
const raw = (digest: string) => Buffer.from(digest.slice(7), 'hex');

/** The nonce of a question that the device asks now. */
async function nonceOf(): Promise<{ nonce: Uint8Array; deviceId: string }> {
  const asked = await device.command(['time', 'ask', '-o', 'name']);
  return { nonce: Buffer.from(asked.out.trim(), 'hex'), deviceId: 'press-7' };
}

async function durable() {
  const state = Object.entries(treeOf(device.stateDir)).filter(
    ([path]) => !path.startsWith('store/'),
  );
  const [channel] = (await device.status()).channels;
  const { desired, applied } = channel ?? {};
  const rows = { desired, applied, history: await device.history() };
  return { opt: device.tree(), state: Object.fromEntries(state), rows, grade: await grade() };
}

const grade = async () => (await device.status()).device.timeGrade;
const floor = async () =>
  Date.parse((await device.explain()).facts.find(({ name }) => name === 'time floor')?.value ?? '');

/** Runs an offer; afterwards nothing is another, and nothing is known of the time. */
async function unchanged(offer: () => Promise<unknown>, commitsMost = 2): Promise<void> {
  const before = { durable: await durable(), commits: transactionId(device.stateDir) };
  await offer();
  expect(await durable()).toEqual(before.durable);
  expect(before.durable.grade).toBe('estimated');
  const commits = Number(transactionId(device.stateDir) - before.commits);
  expect(commits).toBeLessThanOrEqual(commitsMost);
}

/** By hand, where the command tells the code; and over the broker, where the log does. */
async function refuses(code: string, statement: Buffer): Promise<void> {
  await unchanged(async () => {
    const file = join(plant.folder, 'forged.json');
    writeFileSync(file, statement);
    const taken = await device.command(['apply', '--time', file]);
    expect([taken.code, taken.err]).toEqual([3, expect.stringContaining(code)]);
    await send('d/press-7/time', statement);
    await send('time', statement);
  });
}

async function send(topic: string, statement: Buffer, retain = false): Promise<void> {
  const bytes = toBinary(EnvelopeSchema, twin(statement));
  await say(plant, `${plant.topicRoot}/${topic}`, bytes, retain);
}

describe('R06: what somebody else was told, or was told before', () => {
  const rows: readonly [string, string, () => Promise<Fields>][] = [
    ['another device’s nonce', 'trust.time-nonce', async () => foreign()],
    ['our nonce for another device', 'trust.time-device', async () => other('press-8')],
    ['our nonce for no device', 'trust.time-device', async () => other('')],
    ['an answer of 1990', 'trust.time-implausible', async () => dated(20 * YEAR)],
    [
      'an answer in 100 years',
      'trust.time-implausible',
      async () => dated(Date.now() + 100 * YEAR),
    ],
    ['of another fleet', 'trust.wrong-fleet', async () => ({ fleet: new Uint8Array(16) })],
    ['that must be understood', 'trust.critical', async () => ({ critical: ['leap_seconds'] })],
  ];
  const foreign = () => ({ nonce: new Uint8Array(32).fill(9), deviceId: 'press-7' });
  const other = async (deviceId: string) => ({ ...(await nonceOf()), deviceId });
  const dated = async (at: number) => ({ ...(await nonceOf()), at: BigInt(at) });
  for (const [what, code, fields] of rows) {
    real(title(`R06: ${what}: ${code}`), async () => {
      await refuses(code, signTime(await fields()));
    });
  }
});

describe('R40: signed by somebody else than the role time', () => {
  for (const [what, keys] of [
    ['the key of the channel', () => [channelKey(plant, 'stable')]],
    ['the root key', () => [keyOf(readRootKey())]],
    ['a stranger', () => [newKey()]],
    ['nobody', () => []],
  ] as const) {
    real(title(`R40: by ${what}: trust.threshold`), async () => {
      await refuses('trust.threshold', signTime(await nonceOf(), keys()));
    });
  }
  const readRootKey = () => readFileSync(join(plant.fleetFolder, 'keys/root/root-1.pem'), 'utf8');

  real(title('R40: a state by the time key is none, and a state is no time'), async () => {
    const { epoch, sequence } = honest.state;
    const next = changed(honest.state, { epoch, sequence: sequence + 1n });
    await refuses('trust.payload-type', signState(next, [time]));
    await unchanged(async () => {
      const file = join(plant.folder, 'state.json');
      writeFileSync(file, signState(next, [time], TIME_TYPE));
      const taken = await device.command(['apply', '--time', file]);
      expect([taken.code, taken.err]).toEqual([3, expect.stringContaining('format.')]);
    });
  });
});

describe('R41: a source that holds states back', () => {
  real(
    title('R41: is told when the time authority names a newer head, and nothing else changes'),
    async () => {
      const old = honest.text;
      await publish(2, '--no-nudge');
      const next = await fetchArtifact(plant.registry, 'stable');
      // The mirror goes back to what it had.
      await putManifest(plant.registry, 'stable', old);
      const digest = digestOf(Buffer.from(JSON.parse(next.envelope.toString()).payload, 'base64'));
      const before = { tree: device.tree(), status: (await device.status()).channels[0] };
      await send('time', signTime(headOf(2n, digest)));
      const told = await device.reports(
        'a freeze',
        ({ refused }) => refused?.code === 'trust.freeze',
      );
      expect([told.refused?.attack, told.applied, told.phase]).toEqual([false, '1.1', 'IDLE']);
      expect(device.tree()).toEqual(before.tree);
      expect((await device.explain()).verdict).toContain('trust.freeze');
      // The mirror is honest again: the device goes on, and nothing is wrong any more.
      await putManifest(plant.registry, 'stable', next.text);
      await device.command(['apply']);
      await device.applied('1.2');
      expect((await device.status()).channels[0]?.refused).toBeNull();
      honest = next;
    },
  );

  real(
    title('R41: a head under an accepted number with another digest is an alarm'),
    async () => {
      const before = device.tree();
      await send('time', signTime(headOf(2n, digestOf('another'))));
      const told = await device.reports(
        'an equivocation',
        ({ refused }) => refused?.code === 'trust.equivocation',
      );
      expect([told.refused?.attack, told.applied]).toEqual([true, '1.2']);
      expect(device.tree()).toEqual(before);
      await send('time', signTime(headOf(2n, honestDigest())));
      await eventually('the alarm ends', async () => !(await device.status()).channels[0]?.refused);
    },
    60_000,
  );
  const honestDigest = () =>
    digestOf(Buffer.from(JSON.parse(honest.envelope.toString()).payload, 'base64'));
});

describe('R42: floods, and what comes again', () => {
  real(
    title('R42: a flood of statements costs a few commits, and an honest answer counts afterwards'),
    async () => {
      const commits = transactionId(device.stateDir);
      for (let many = 0; many < 30; many += 1) {
        await send('time', signTime({ at: BigInt(many + 1) }, [newKey()]));
      }
      expect(Number(transactionId(device.stateDir) - commits)).toBeLessThanOrEqual(2);
      const before = await floor();
      const file = join(plant.folder, 'answer.json');
      const answer = signTime(await nonceOf());
      writeFileSync(file, answer);
      const taken = await device.command(['apply', '--time', file]);
      expect([taken.code, taken.out]).toEqual([0, expect.stringContaining('attested')]);
      expect(await grade()).toBe('attested');
      expect(await floor()).toBeGreaterThanOrEqual(before);
      // R06: the same answer again
      const again = await device.command(['apply', '--time', file]);
      expect([again.code, again.err]).toEqual([3, expect.stringContaining('trust.time-nonce')]);
      expect(await grade()).toBe('attested');
      const journal = await device.command(['audit', '-o', 'json']);
      expect(journal.out).toContain('trust.time-nonce');
    },
    60_000,
  );
});
