/** Check 0 on a device: floor and attestation over time, what is taken, what is saved, when it asks. */
import { beforeEach, describe, expect, test } from 'bun:test';
import { auditLog } from '#agent/audit-log.ts';
import { type AgentTime, agentTime } from '#agent/time.ts';
import { timeAsking } from '#agent/time-asking.ts';
import { type Nonces, nonces } from '#agent/time-nonces.ts';
import { timeService } from '#agent/time-service.ts';
import { type TimeTaking, timeTaking } from '#agent/time-taking.ts';
import { ok, refuse } from '#errors/fault.ts';
import type { MqttLinkEvent } from '#link/mqtt.ts';
import type { TimeRequest } from '#state/time-statement.ts';
import type { Store } from '#store/store.ts';
import { typedStore } from '#store/typed-store.ts';
import { writeEnvelope } from '#wire/envelope.ts';
import { writeEnvelopeMessage } from '#wire/envelope-message.ts';
import { readTimeRequest } from '#wire/time-statement.ts';
import { type ManualClock, manualClock } from '../../support/manual-clock.ts';
import { type MemoryEngine, memoryEngine } from '../../support/memory-engine.ts';
import { scratch, storePlatform, value } from '../../support/store.ts';
import { DAY, NOW, rootWithTime, STABLE_KEY, signedTime } from '../trust/world.ts';

const BUILD = NOW - 100 * DAY;
const HOUR = 3_600_000;
const random = { bytes: (count: number) => crypto.getRandomValues(new Uint8Array(count)) };

let clock: ManualClock;
let time: AgentTime;
let engine: MemoryEngine;
let store: Store;
let asked: Nonces;
let taking: TimeTaking;
let root: ReturnType<typeof rootWithTime>;
let logged: string[];

beforeEach(() => {
  clock = manualClock(0);
  time = agentTime(clock, { buildMs: BUILD, storedMs: 0 });
  engine = memoryEngine();
  store = typedStore(engine, { hasRoom: () => true, free: () => false, ensure() {} }, () => {});
  asked = nonces(clock, random);
  root = rootWithTime();
  logged = [];
  const log = { write: (_: string, event: string) => void logged.push(event) };
  const audit = auditLog({ store, clock, log, time, boot: 1n });
  const names = { allowDemo: false, deviceId: 'press-7', channel: 'stable' };
  taking = timeTaking({
    ...{ store, clock, log, time, nonces: asked, audit, root: () => root, ...names },
  });
  const row = { boot: 1n, machine: '', crashes: 0, paused: null, timeFloorMs: time.floorMs() };
  value(store.transaction((tx) => tx.putDevice(row)));
});

const answer = (more: Parameters<typeof signedTime>[0] = {}) =>
  signedTime({ nonce: asked.make(), deviceId: 'press-7', ...more });
const take = (offered: Parameters<TimeTaking['take']>[0]) => {
  const taken = taking.take(offered, { way: 'test', via: null });
  return 'fault' in taken && taken.fault ? `${taken.kind} ${taken.fault.code}` : taken.kind;
};
const stored = () => value(store.device())?.timeFloorMs ?? 0;

describe('check 0: what a time statement does', () => {
  test('an answer attests the time, which goes on by CLOCK_BOOTTIME whatever the wall clock says', async () => {
    expect(time.view()).toMatchObject({ estimateMs: BUILD, grade: 'estimated' });
    expect(take(answer())).toBe('taken');
    await clock.advance(5 * HOUR);
    clock.setWall(NOW + 14 * 365 * DAY);
    expect(time.view()).toMatchObject({
      ...{ floorMs: NOW + 5 * HOUR, estimateMs: NOW + 5 * HOUR },
      ...{ grade: 'attested', wallPlausible: false },
    });
    expect(time.attested()).toEqual({ atMs: NOW, ageMs: 5 * HOUR });
  });

  test('one for everyone raises the floor, never the grade', async () => {
    expect(take(signedTime())).toBe('taken');
    await clock.advance(HOUR);
    expect(time.view()).toMatchObject({ floorMs: NOW + HOUR, grade: 'estimated' });
    expect(time.attested()).toBeNull();
  });

  test('an older one lowers nothing', async () => {
    take(signedTime());
    expect(take(signedTime({ at: NOW - 50 * DAY }))).toBe('taken');
    expect(time.floorMs()).toBe(NOW);
  });

  test('one lifts the floor by 400 days at most, and the attested time counts whole', () => {
    time = agentTime(clock, { buildMs: NOW - 900 * DAY, storedMs: 0 });
    time.attest(NOW, 100);
    expect(time.view()).toMatchObject({ floorMs: NOW - 500 * DAY, grade: 'attested' });
    expect(time.view().estimateMs).toBe(NOW + 50);
  });

  test('R06: an answer that comes again is refused, and changes nothing', async () => {
    const first = answer();
    expect(take(first)).toBe('taken');
    await clock.advance(60_000);
    const before = engine.transactionId();
    expect(take(writeEnvelope(first))).toBe('refused trust.time-nonce');
    expect(time.attested()?.ageMs).toBe(60_000);
    const commits = engine.transactionId() - before;
    expect(take(writeEnvelope(first))).toBe('known trust.time-nonce');
    // the journal's, once
    expect([commits, engine.transactionId() - before]).toEqual([1, 1]);
    expect(taking.lastRefused()?.code).toBe('trust.time-nonce');
  });

  test('R06: an answer after fifteen minutes answers nothing', async () => {
    const late = answer();
    await clock.advance(15 * 60_000 + 1);
    expect(take(late)).toBe('refused trust.time-nonce');
  });

  test('nonces are kept few, the oldest forgotten first', () => {
    const first = asked.make();
    for (let more = 0; more < 8; more += 1) asked.make();
    expect(asked.askedAgoMs(first)).toBeNull();
  });

  test('what was refused is remembered under this root, 64 at most', () => {
    const wrong = signedTime({}, [STABLE_KEY]);
    expect([take(wrong), take(wrong)]).toEqual([
      'refused trust.threshold',
      'known trust.threshold',
    ]);
    root = rootWithTime({ version: 2n });
    expect(take(wrong)).toBe('refused trust.threshold');
    for (let at = 1; at <= 64; at += 1) take(signedTime({ at }, [STABLE_KEY]));
    expect(take(wrong)).toBe('refused trust.threshold');
  });

  test('R22: a time reset ends the attestation and the floor that it raised', () => {
    take(answer());
    time.reset(NOW - 60 * DAY);
    expect(time.view()).toMatchObject({ floorMs: NOW - 60 * DAY, grade: 'estimated' });
    expect(time.attested()).toBeNull();
  });
});

describe('check 0: what is written for it', () => {
  test('a day of signed time is one commit, and an hour of this clock', async () => {
    take(signedTime());
    expect(stored()).toBe(NOW);
    const before = engine.transactionId();
    for (let days = 1; days <= 50; days += 1) take(signedTime({ at: NOW + days * DAY }));
    expect(engine.transactionId()).toBe(before);
    await clock.advance(HOUR);
    take(signedTime({ at: NOW + 51 * DAY }));
    expect([engine.transactionId() - before, stored()]).toEqual([1, NOW + 51 * DAY]);
  });

  test('less than a day is none', () => {
    take(signedTime());
    const before = engine.transactionId();
    take(signedTime({ at: NOW + DAY - 1 }));
    expect([engine.transactionId() - before, stored()]).toEqual([0, NOW]);
  });

  test('a store that cannot be written keeps nobody from knowing the time', () => {
    engine.failures.push('store.io');
    expect(take(answer())).toBe('taken');
    expect(logged).toContain('time.unsaved');
    expect(time.view().grade).toBe('attested');
  });
});

test('a time service is believed by its mark, looked up at most every ten seconds', async () => {
  const place = scratch('timesync');
  const mark = { directory: place.path, name: 'synchronized' };
  const known = timeService(storePlatform.files, clock, mark);
  expect(known()).toBe(false);
  await Bun.write(`${place.path}/synchronized`, '');
  expect(known()).toBe(false);
  await clock.advance(10_000);
  expect(known()).toBe(true);
  place.remove();
  await clock.advance(10_000);
  expect(known()).toBe(false);
});

describe('a device asks', () => {
  let listeners: Set<(event: MqttLinkEvent) => void>;
  let published: { topic: string; request: TimeRequest }[];
  let taken: string[];
  let up: boolean;
  let wanted: boolean;
  let urls: number;

  function start(over: Partial<Parameters<typeof timeAsking>[0]> = {}) {
    listeners = new Set();
    [published, taken, urls] = [[], [], 0];
    const asking = timeAsking({
      ...{ clock, random: { ...random, unit: () => 0.5 }, log: { write() {} } },
      mqtt: {
        listen(listener) {
          listeners.add(listener);
          return () => void listeners.delete(listener);
        },
        publish: async (topic, payload) => {
          published.push({ topic, request: value(readTimeRequest(payload)) });
          return ok(undefined);
        },
        state: () => ({ kind: up ? 'up' : 'down', since: 0, lastFault: null, protocol: '5' }),
      },
      askTopic: 'ask',
      askUrl: async () => {
        urls += 1;
        return refuse('link.down', { peer: 'x' });
      },
      tags: [],
      intervalMs: DAY,
      wanted: () => wanted,
      attestedAgoMs: () => time.attested()?.ageMs ?? null,
      question: () => ({ nonce: asked.make(), deviceId: 'press-7' }),
      take: (_, way) => void taken.push(way),
      ...over,
    });
    return { stop: asking.start(), asking };
  }
  const say = (event: MqttLinkEvent) => {
    for (const listener of listeners) listener(event);
  };

  beforeEach(() => {
    [up, wanted] = [true, true];
  });

  test('soon after the link is up, with a nonce of its own each time', async () => {
    up = false;
    start();
    await clock.advance(2_000);
    expect(published).toEqual([]);
    up = true;
    say({ kind: 'up', protocol: '5' });
    await clock.advance(2_000);
    say({ kind: 'up', protocol: '5' });
    await clock.advance(2_000);
    const [first, second] = published.map(({ request }) =>
      Buffer.from(request.nonce).toString('hex'),
    );
    expect(first).toHaveLength(64);
    expect(second).toHaveLength(64);
    expect(second).not.toBe(first);
  });

  test('again and again with backoff while nobody answers, once a day when somebody did', async () => {
    start();
    await clock.advance(4 * HOUR);
    const before = published.length;
    expect(before).toBeGreaterThan(4);
    expect(before).toBeLessThan(20);
    time.attest(NOW, 10);
    await clock.advance(12 * HOUR);
    expect(published.length).toBe(before);
    await clock.advance(24 * HOUR);
    expect(published.length).toBeGreaterThan(before);
  });

  test('nobody, while the root names nobody; at once when it does', async () => {
    wanted = false;
    const { asking } = start();
    await clock.advance(DAY);
    expect([published.length, urls]).toEqual([0, 0]);
    wanted = true;
    asking.kick();
    await clock.advance(2_000);
    expect([published.length, urls]).toEqual([1, 1]);
  });

  test('by every way, and takes what each brings', async () => {
    const tag = async () => ok(new Uint8Array());
    start({ askUrl: async () => ok(new Uint8Array()), tags: [tag, async () => ok(null)] });
    await clock.advance(2_000);
    expect(taken).toEqual(['time.url', 'registry']);
  });

  test('a flood from the broker is rationed, and nothing that is no envelope gets through', async () => {
    start();
    const payload = writeEnvelopeMessage(signedTime());
    say({ kind: 'time', own: true, payload: new Uint8Array([1, 2, 3]) });
    for (let many = 0; many < 1_000; many += 1) say({ kind: 'time', own: true, payload });
    expect(taken.length).toBe(9);
    // the newest of each topic is kept, and comes when there is room
    say({ kind: 'time', own: false, payload });
    await clock.advance(2_000);
    expect(taken.length).toBe(11);
    await clock.advance(10_000);
    expect(taken.length).toBe(11);
  });

  test('once, where the agent looks once: by the ways that answer at once', async () => {
    up = false;
    const { asking, stop } = start({ askUrl: async () => ok(new Uint8Array()) });
    stop();
    await asking.now();
    expect([published.length, taken]).toEqual([0, ['time.url']]);
    wanted = false;
    await asking.now();
    expect(taken).toEqual(['time.url']);
  });

  test('nothing any more when it has stopped', async () => {
    const { stop } = start();
    stop();
    await clock.advance(DAY);
    say({ kind: 'time', own: true, payload: writeEnvelopeMessage(signedTime()) });
    expect([published.length, taken.length]).toEqual([0, 0]);
  });
});
