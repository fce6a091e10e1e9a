/** hub/fleet-view.ts: what a row says, whom it believes, and what stays after a forgery or a restart. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { refuse } from '#errors/fault.ts';
import type { DeviceRecord, DeviceState } from '#hub/enrolment-records.ts';
import { watched } from '#hub/fleet.ts';
import type { Enrolments } from '#hub/fleet-awaited.ts';
import { readQuery } from '#hub/fleet-query.ts';
import { type EnrolledKey, type FleetView, fleetView } from '#hub/fleet-view.ts';
import { openRetained, type Retained } from '#hub/retained.ts';
import { writePresence } from '#wire/presence.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { channelOf, signingDevice, TOPICS } from '../../support/signed-status.ts';
import { scratch, storePlatform, value } from '../../support/store.ts';
import { digestB } from '../../support/wire-samples.ts';

const NOON = Date.UTC(2026, 10, 23, 12);
let place: ReturnType<typeof scratch>;
beforeEach(() => {
  place = scratch('fleet');
});
afterEach(() => place.remove());

interface Hub {
  readonly view: FleetView;
  /** As the broker does with a retained message; then the view has judged it. */
  hears(topic: string, payload: Uint8Array): Promise<void>;
  rows(search?: string): ReturnType<FleetView['page']>;
  row(device: string): ReturnType<FleetView['page']>['rows'][number] | undefined;
  /** The same folders, as after a restart. */
  again(): Promise<Hub>;
}

async function open(
  keyOf: EnrolledKey = () => 'open',
  clock = manualClock(NOON),
  enrolments: Enrolments | null = null,
): Promise<Hub> {
  const at = (name: string) =>
    value(openRetained(storePlatform.files, `${place.path}/${name}`, clock));
  const [retained, kept]: Retained[] = [at('mqtt'), at('fleet')];
  const view = fleetView({ clock, retained: retained!, kept: kept!, keyOf, enrolments });
  const broker = watched(retained!, view);
  await clock.advance(1_000);
  const hub: Hub = {
    view,
    async hears(topic, payload) {
      const put = broker.put(topic, payload);
      await clock.advance(1_000);
      value(await put);
      await clock.advance(1_000);
    },
    rows: (search = '') => view.page(readQuery(new URLSearchParams(search))),
    row: (device) => hub.rows('limit=200').rows.find((one) => one.device === device),
    async again() {
      view.close();
      retained!.close();
      kept!.close();
      return open(keyOf, clock, enrolments);
    },
  };
  return hub;
}

const refusal = {
  ...{ code: 'trust.rollback', message: '1.2 is below 1.57', offered: null, via: null },
  attack: true,
} as const;
const ill = {
  ...{ id: 'plc', digest: digestB, health: 'unhealthy', code: 'apply.health-failed' },
  ...{ message: 'tcp 127.0.0.1:502 refused', restarts: 3 },
};

describe('a row', () => {
  for (const [what, channel, condition, reason] of [
    ['applied', {}, 'settled', ''],
    [
      'ill',
      { deployments: [ill] },
      'trouble',
      'stable: plc is unhealthy: tcp 127.0.0.1:502 refused',
    ],
    [
      'attacked',
      { refused: refusal },
      'trouble',
      'stable: attack: refused trust.rollback: 1.2 is below 1.57',
    ],
    ['stuck', { phase: 'stuck' }, 'trouble', 'stable: stuck: undoing fails'],
    ['in safe mode', { phase: 'safe-mode' }, 'trouble', 'stable: safe mode after repeated crashes'],
    ['degraded', { degraded: true }, 'trouble', 'stable: degraded'],
    [
      'waiting',
      { waitingFor: 'trust.maybe-expired' },
      'waiting',
      'stable: waits: trust.maybe-expired',
    ],
    ['held', { heldByOperator: true }, 'waiting', 'stable: held by the operator'],
    ['new', { applied: null, desired: null }, 'waiting', 'stable: nothing applied yet'],
    ['without values', { channel: 'device.press-7', applied: null, desired: null }, 'settled', ''],
    ['activating', { phase: 'activating' }, 'changing', ''],
  ] as const) {
    test(`of a device that is ${what} is ${condition}`, async () => {
      const hub = await open();
      const device = signingDevice('press-7');
      const channels = [channelOf(channel as Parameters<typeof channelOf>[0])];
      await hub.hears(device.topic, await device.says({ channels }));
      const row = hub.row('press-7');
      expect([row?.condition, row?.summary?.reason]).toEqual([condition, reason]);
      const coded = ['ill', 'attacked', 'in safe mode', 'waiting', 'held'].includes(what);
      expect(row?.summary?.cure !== '').toBe(coded);
    });
  }

  test('says when it was heard by the hub, and whether the broker has it connected', async () => {
    const hub = await open();
    const device = signingDevice('press-7');
    await hub.hears(device.topic, await device.says());
    expect(hub.row('press-7')).toMatchObject({ seenAt: NOON + 1_000, online: null });
    const presence = { online: true, agentVersion: '0.1.0', since: 0 };
    await hub.hears(`${TOPICS}/press-7/presence`, writePresence(presence));
    expect(hub.row('press-7')).toMatchObject({ seenAt: NOON + 1_000, online: true });
    await hub.hears(`${TOPICS}/press-8/presence`, writePresence(presence));
    expect(hub.row('press-8')).toMatchObject({ condition: 'silent', proof: 'none', summary: null });
    const again = await hub.again();
    expect(again.row('press-7')).toMatchObject({ seenAt: NOON + 1_000, online: true });
  });

  test('has no character that reorders or hides what stands around it', async () => {
    const hub = await open();
    const device = signingDevice('press-7');
    const labels = { a: '\u202Egnp.exe\u200B', b: '<img src=x onerror=alert(1)>' };
    await hub.hears(device.topic, await device.says({ labels }));
    const told = hub.row('press-7')?.summary?.labels ?? '';
    expect(told).toContain('<img src=x onerror=alert(1)>');
    expect(told).toContain('a=\uFFFDgnp.exe\uFFFD');
  });
});

describe('whom it believes', () => {
  test('nobody who has not signed: not as truth, and with the reason', async () => {
    const hub = await open();
    await hub.hears(`${TOPICS}/press-7/status`, Buffer.from('not a status'));
    expect(hub.row('press-7')).toMatchObject({
      condition: 'unproven',
      proof: 'none',
      summary: null,
    });
    const device = signingDevice('press-8');
    const bytes = await device.says();
    bytes[bytes.length - 1]! ^= 1;
    await hub.hears(device.topic, bytes);
    expect(hub.row('press-8')?.doubt).toContain('its signature is not that of the key in it');
  });

  test('the key that was first seen; another one takes nothing from the row, also after restarts', async () => {
    const hub = await open();
    const [device, impostor] = [signingDevice('press-7'), signingDevice('press-7')];
    await hub.hears(device.topic, await device.says());
    expect(hub.row('press-7')).toMatchObject({ proof: 'first-seen', condition: 'settled' });
    const channels = [channelOf({ channel: 'forged' })];
    await hub.hears(device.topic, await impostor.says({ boot: 9n, channels }));
    for (const now of [hub, await hub.again()]) {
      expect(now.row('press-7')).toMatchObject({
        condition: 'unproven',
        doubt: expect.stringContaining('signed by another key'),
        summary: { channels: [{ channel: 'stable', applied: '1.57' }] },
      });
    }
    const later = await hub.again();
    await later.hears(device.topic, await device.says());
    expect(later.row('press-7')).toMatchObject({ condition: 'settled', doubt: '' });
  });

  test('no report that came before, however it comes again', async () => {
    const hub = await open();
    const device = signingDevice('press-7');
    const old = await device.says({ channels: [channelOf({ phase: 'stuck' })] });
    await hub.hears(device.topic, old);
    await hub.hears(device.topic, await device.says());
    await hub.hears(device.topic, old);
    for (const now of [hub, await hub.again()]) {
      expect(now.row('press-7')).toMatchObject({
        doubt: 'it is an older report, sent again',
        summary: { condition: 'settled' },
      });
    }
  });

  test('with enrolment, the enrolled key alone; who is revoked is no longer believed', async () => {
    const [device, impostor] = [signingDevice('press-7'), signingDevice('press-7')];
    let enrolled: string | null = device.keyid;
    const hub = await open((id) => (id === 'press-7' ? enrolled : null));
    await hub.hears(device.topic, await impostor.says());
    expect(hub.row('press-7')).toMatchObject({ condition: 'unproven', summary: null });
    await hub.hears(device.topic, await device.says());
    expect(hub.row('press-7')).toMatchObject({ condition: 'settled', proof: 'enrolled' });
    const stranger = signingDevice('press-9');
    await hub.hears(stranger.topic, await stranger.says());
    expect(hub.row('press-9')?.doubt).toBe('no device of this name is enrolled here');
    enrolled = null;
    hub.view.judgeAgain('press-7');
    await hub.hears('other/topic', Buffer.from('x'));
    expect(hub.row('press-7')).toMatchObject({
      condition: 'unproven',
      proof: 'none',
      summary: null,
    });
  });

  test('no status of another fleet than its topic names, nor of another device', async () => {
    const hub = await open();
    const device = signingDevice('press-7');
    await hub.hears(device.topic, await device.says({ fleet: 'ff'.repeat(16) }));
    expect(hub.row('press-7')?.doubt).toContain('it is of another fleet');
    await hub.hears(`${TOPICS}/press-8/status`, await device.says());
    expect(hub.row('press-8')?.doubt).toContain('it is of press-7');
  });

  test('a displaced status for which there is no room keeps its row and loses its detail', async () => {
    const clock = manualClock(NOON);
    const messages = new Map<string, Uint8Array>();
    const full = async () => refuse('hub.retained-full', { messages: 1, bytes: 1 });
    const view = fleetView({
      ...{ clock, retained: { messages, receivedAt: new Map() }, keyOf: () => 'open' },
      enrolments: null,
      kept: { messages: new Map(), put: full },
    });
    const device = signingDevice('press-7');
    for (const bytes of [await device.says(), Buffer.from('forged'), Buffer.from('again')]) {
      messages.set(device.topic, bytes);
      view.saw(device.topic);
      await clock.advance(1_000);
    }
    const [row] = view.page(readQuery(new URLSearchParams())).rows;
    expect(row).toMatchObject({ condition: 'unproven', summary: { condition: 'settled' } });
    expect(view.detail(device.topic)).toBeNull();
    messages.set(device.topic, await device.says());
    view.saw(device.topic);
    await clock.advance(1_000);
    expect(view.detail(device.topic)?.report).toBe('1.2');
  });

  test('a topic that is cleared takes the device off the page, and its first-seen key', async () => {
    const hub = await open();
    const device = signingDevice('press-7');
    await hub.hears(device.topic, await device.says());
    await hub.hears(device.topic, new Uint8Array());
    expect(hub.rows().total).toBe(0);
    const next = signingDevice('press-7');
    await hub.hears(next.topic, await next.says());
    expect(hub.row('press-7')).toMatchObject({ condition: 'settled' });
  });
});

describe('a page of many', () => {
  test('is searched, filtered, ordered and cut here', async () => {
    const hub = await open();
    for (let n = 1; n <= 12; n += 1) {
      const device = signingDevice(`press-${n}`);
      const channels = [
        channelOf(n === 11 ? { deployments: [ill] } : { channel: n % 2 ? 'canary' : 'stable' }),
      ];
      await hub.hears(device.topic, await device.says({ channels, labels: { hall: `${n % 3}` } }));
    }
    const names = (search: string) => hub.rows(search).rows.map(({ device }) => device);
    expect(names('limit=3')).toEqual(['press-11', 'press-1', 'press-2']);
    expect(names('sort=device&limit=2&offset=9')).toEqual(['press-10', 'press-11']);
    expect(names('sort=device')).toEqual(Array.from({ length: 12 }, (_, at) => `press-${at + 1}`));
    expect(names('condition=trouble')).toEqual(['press-11']);
    expect(names('channel=canary&sort=device&limit=2')).toEqual(['press-1', 'press-3']);
    expect(names('q=HALL%3D0+press&sort=device')).toEqual([
      'press-3',
      'press-6',
      'press-9',
      'press-12',
    ]);
    expect(names('q=health-failed+zzz')).toEqual([]);
    expect(hub.rows('offset=5000&limit=5')).toMatchObject({ offset: 10, matched: 12, total: 12 });
    expect(hub.rows().counts).toMatchObject({ trouble: 1, settled: 11 });
    expect(hub.rows().channels).toEqual(['canary', 'stable']);
    expect(hub.rows('limit=999999').rows.length).toBe(12);
  });

  test('its version grows once for many reports, and who waits is told', async () => {
    const clock = manualClock(NOON);
    const hub = await open(() => 'open', clock);
    const before = hub.view.version();
    const told = hub.view.changed(before, 60_000, new AbortController().signal);
    const device = signingDevice('press-7');
    await hub.hears(device.topic, await device.says());
    await told;
    expect(hub.view.version()).toBe(before + 1);
    const stop = new AbortController();
    const ends = hub.view.changed(hub.view.version(), 60_000, stop.signal);
    stop.abort();
    await ends;
  });

  test('the detail has deployments, the ill ones first, and is read from what was signed', async () => {
    const hub = await open();
    const device = signingDevice('press-7');
    const well = { ...ill, id: 'web', health: 'healthy', code: '', message: '' };
    await hub.hears(
      device.topic,
      await device.says({ channels: [channelOf({ deployments: [well, ill] })] }),
    );
    const detail = hub.view.detail(device.topic);
    expect(detail).toMatchObject({ key: `sha256:${device.keyid}`, report: '1.1' });
    expect(detail?.channels[0]?.deployments.map(({ id }) => id)).toEqual(['plc', 'web']);
    expect(hub.view.detail('no/such/row')).toBeNull();
  });
});

describe('a device that has said nothing', () => {
  const record = (id: string, state: DeviceState): DeviceRecord => ({
    ...{ keyid: Bun.SHA256.hash(id, 'hex'), id, key: '', labels: { line: '7' }, state },
    ...{ kind: 'certificate', askedAt: NOON - 60_000, address: '10.0.0.9', token: '' },
    ...{ agentVersion: '1', credentials: [] },
  });

  test('is shown as soon as it asks, with what to do, and as silent when it was let in', async () => {
    const records = new Map<string, DeviceRecord>();
    const tell: (() => void)[] = [];
    const clock = manualClock(NOON);
    const hub = await open((name) => records.get(name)?.keyid ?? null, clock, {
      all: () => records.values(),
      onChange: (call) => void tell.push(call),
    });
    const become = async (state: DeviceState) => {
      records.set('press-9', record('press-9', state));
      for (const call of tell) call();
      await clock.advance(1_000);
      return hub.row('press-9');
    };
    const asks = await become('waiting');
    expect(asks).toMatchObject({ condition: 'waiting', proof: 'none', seenAt: NOON - 60_000 });
    expect(asks?.note).toContain('asks to be let in, from 10.0.0.9');
    expect(asks?.note).toContain(`hub enroll approve ${asks?.id.slice(10, 26)}`);
    expect((await become('approved'))?.note).toContain('not fetched its credential');
    expect(await become('enrolled')).toMatchObject({
      condition: 'silent',
      note: 'enrolled; it has not reported anything yet',
    });
    expect(hub.rows('q=line%3D7').matched).toBe(1);
    expect(await become('revoked')).toBeUndefined();
  });

  test('has one row, its own, from its first report on', async () => {
    const device = signingDevice('press-7');
    const enrolled = { ...record('press-7', 'enrolled'), keyid: device.keyid };
    const hub = await open(() => device.keyid, manualClock(NOON), {
      all: () => [enrolled],
      onChange: () => undefined,
    });
    expect(hub.row('press-7')?.condition).toBe('silent');
    await hub.hears(device.topic, await device.says({ channels: [channelOf({})] }));
    expect(hub.rows().total).toBe(1);
    expect(hub.row('press-7')).toMatchObject({ condition: 'settled', proof: 'enrolled', note: '' });
  });
});
