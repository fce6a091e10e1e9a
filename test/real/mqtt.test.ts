/** The link against a real Mosquitto: MQTT 5 and 3.1.1, plain and TLS, its restart, its clones. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openBroker } from '#link/mqtt-broker.ts';
import { readPresence, writePresence } from '#wire/presence.ts';
import { CLIENT, makeCa, makeLeaf, SERVER } from '../support/certificates.ts';
import { eventually } from '../support/eventually.ts';
import {
  clients,
  type Mosquitto,
  mosquitto,
  retained,
  say,
  startMosquitto,
} from '../support/mosquitto.ts';
import {
  brokerAt,
  CLIENT_ID,
  ROOT,
  realPlatform,
  type WatchedLink,
  watchedLink,
} from '../support/mqtt-world.ts';

const have = mosquitto !== null && clients !== null;
const real = have ? test : test.skip;
const why = have ? '' : ' (mosquitto is not installed)';
const PRESENCE = `${ROOT}/d/press-7/presence`;
const STATUS = `${ROOT}/d/press-7/status`;

const open: WatchedLink[] = [];
afterEach(async () => {
  for (const { link } of open.splice(0)) await link.close();
});

function linkTo(...args: Parameters<typeof watchedLink>): WatchedLink {
  const watched = watchedLink(...args);
  open.push(watched);
  watched.link.start();
  return watched;
}

function online(broker: Mosquitto): boolean | null {
  const read = readPresence(retained(broker, PRESENCE) ?? new Uint8Array([0xff]));
  return read.ok ? read.value.online : null;
}

describe('a plain broker on the loopback', () => {
  let broker: Mosquitto;
  beforeAll(async () => {
    if (have) broker = await startMosquitto();
  });
  afterAll(async () => broker?.remove());
  const at = (): string => `mqtt://127.0.0.1:${broker.port}`;

  for (const [protocol, spoken] of [
    ['auto', '5'],
    ['5', '5'],
    ['3.1.1', '3.1.1'],
  ] as const) {
    real(`protocol ${protocol}: presence, nudge and retained status go through${why}`, async () => {
      const watched = linkTo(brokerAt(at(), { protocol }));
      await watched.up();
      expect(watched.link.state()).toMatchObject({ kind: 'up', protocol: spoken, lastFault: null });
      expect(online(broker)).toBe(true);
      say(broker, `${ROOT}/c/stable/nudge`, new Uint8Array([1, 2, 0, 255]));
      const nudge = await eventually('the nudge', () =>
        watched.events.find(({ kind }) => kind === 'nudge'),
      );
      expect(nudge).toMatchObject({ topic: { channel: 'stable' }, retained: false });
      expect('payload' in nudge && [...nudge.payload]).toEqual([1, 2, 0, 255]);
      const status = new Uint8Array([...protocol].map((letter) => letter.charCodeAt(0)));
      expect((await watched.link.publish(STATUS, status, true)).ok).toBe(true);
      expect([...(retained(broker, STATUS) ?? [])]).toEqual([...status]);
      await watched.link.close();
      expect(online(broker)).toBe(false);
    });
  }

  real(`a status as large as a message may be goes through${why}`, async () => {
    const watched = linkTo(brokerAt(at()));
    await watched.up();
    const status = new Uint8Array(128 * 1024).fill(7);
    expect((await watched.link.publish(STATUS, status, true)).ok).toBe(true);
    expect(retained(broker, STATUS)?.length).toBe(status.length);
  });

  real(
    `the will is delivered when the connection breaks, and the link comes back${why}`,
    async () => {
      const watched = linkTo(brokerAt(at()));
      await watched.up();
      const told: boolean[] = [];
      const watcher = watch(broker, PRESENCE, (payload) => {
        const read = readPresence(payload);
        if (read.ok) told.push(read.value.online);
      });
      await eventually('the watcher sees it online', () => told.length === 1);
      watched.breakNow();
      await watched.up(2);
      await eventually('offline and online again', () => told.length >= 3);
      expect(told).toEqual([true, false, true]);
      watcher.kill();
    },
  );

  real(
    `a restart of the broker costs a few seconds, and what it lost is told again${why}`,
    async () => {
      const watched = linkTo(brokerAt(at()));
      await watched.up();
      await broker.stop();
      await eventually('down', () => watched.link.state().kind === 'down');
      const sent = await watched.link.publish(STATUS, new Uint8Array(1), true);
      expect(sent.ok ? '' : sent.fault.code).toBe('link.down');
      await broker.start();
      await watched.up(2);
      expect(online(broker)).toBe(true);
    },
  );

  real(`a nudge sent while the device was away comes when it is back${why}`, async () => {
    const watched = linkTo(brokerAt(at()));
    await watched.up();
    watched.breakNow();
    await eventually('down', () => watched.link.state().kind === 'down');
    say(broker, `${ROOT}/d/press-7/nudge`, new Uint8Array([9]));
    await watched.up(2);
    await eventually('the nudge', () =>
      watched.events.some((event) => event.kind === 'nudge' && event.payload[0] === 9),
    );
  });

  for (const protocol of ['5', '3.1.1'] as const) {
    real(
      `M11: a copy of the device is told as cloned, by MQTT ${protocol}${why}`,
      async () => {
        const watched = linkTo(brokerAt(at(), { protocol }));
        await watched.up();
        for (let times = 1; times <= 3; times += 1) {
          // The copy connects with the same client id and says that it is online.
          const presence = { online: true, agentVersion: '0.1.0', since: 1_000 + times };
          say(broker, PRESENCE, writePresence(presence), '-i', CLIENT_ID, '-r');
          await eventually('thrown out', () => watched.link.state().kind === 'down');
          await eventually('back', () => {
            watched.link.kick();
            return watched.link.state().kind === 'up';
          });
        }
        const cloned = await eventually('cloned', () =>
          watched.events.find(({ kind }) => kind === 'cloned'),
        );
        expect(cloned).toEqual({ kind: 'cloned', times: 3 });
      },
      30_000,
    );
  }

  real(`messages of a publisher go through on a connection of their own${why}`, async () => {
    const watched = linkTo(brokerAt(at()));
    await watched.up();
    const payload = new Uint8Array([3]);
    const time = { floorMs: 0, wallPlausible: true };
    const opened = await openBroker(realPlatform(), brokerAt(at()), time, {
      clientId: 'publisher',
      version: 5,
      keepaliveSeconds: 30,
      sessionExpirySeconds: 0,
      onMessage: () => {},
      onClosed: () => {},
    });
    if (!opened.ok) throw new Error(opened.fault.message);
    const { publish, end } = opened.value;
    expect((await publish(`${ROOT}/c/stable/nudge`, payload, false)).ok).toBe(true);
    expect((await publish(`${ROOT}/d/press-7/nudge`, payload, false)).ok).toBe(true);
    await end();
    await eventually(
      'both nudges',
      () => watched.events.filter(({ kind }) => kind === 'nudge').length === 2,
    );
  });
});

describe('a broker with TLS, client certificates and passwords', () => {
  let broker: Mosquitto;
  let other = '';
  beforeAll(async () => {
    if (have) broker = await startMosquitto(secured);
  });
  afterAll(async () => broker?.remove());

  function secured(folder: string): readonly string[] {
    const ca = makeCa(folder, 'ca');
    other = makeCa(folder, 'other').cert;
    const server = makeLeaf(folder, 'server', ca, SERVER);
    makeLeaf(folder, 'client', ca, CLIENT);
    const passwords = join(folder, 'passwords');
    spawnSync('mosquitto_passwd', ['-b', '-c', passwords, 'press-7', 'secret']);
    writeFileSync(join(folder, 'user'), 'press-7\n');
    writeFileSync(join(folder, 'password'), 'secret\n');
    return [
      `cafile ${ca.cert}`,
      `certfile ${server.cert}`,
      `keyfile ${server.key}`,
      'require_certificate true',
      'allow_anonymous false',
      `password_file ${passwords}`,
    ];
  }
  function config(more: { ca?: string; host?: string } = {}) {
    const { folder, port } = broker;
    return brokerAt(`mqtts://${more.host ?? 'localhost'}:${port}`, {
      tls: {
        ca: more.ca ?? join(folder, 'ca.pem'),
        cert: join(folder, 'client.pem'),
        key: join(folder, 'client.key'),
      },
      auth: { usernameFile: join(folder, 'user'), passwordFile: join(folder, 'password') },
    });
  }
  const dead = { floorMs: Date.now(), wallPlausible: false };

  for (const [clock, time] of [
    ['a plausible clock', { floorMs: 0, wallPlausible: true }],
    ['a dead clock (L17)', dead],
  ] as const) {
    real(`is reached with ${clock}${why}`, async () => {
      const watched = linkTo(config(), () => time);
      await watched.up();
      expect((await watched.link.publish(STATUS, new Uint8Array([1]), true)).ok).toBe(true);
    });
    real(`N08: is refused under another CA with ${clock}${why}`, async () => {
      const watched = linkTo(config({ ca: other }), () => time);
      await eventually('a fault', () => watched.link.state().lastFault);
      expect(watched.link.state().lastFault?.code).toMatch(/^link\.tls/);
    });
  }

  real(`L17: is refused when its certificate ended before the floor${why}`, async () => {
    const floorMs = Date.now() + 60 * 24 * 3_600_000;
    const watched = linkTo(config(), () => ({ floorMs, wallPlausible: false }));
    await watched.fault('link.tls-untrusted');
  });

  real(
    `M04: a refused password is shown, and the corrected file is taken by itself${why}`,
    async () => {
      writeFileSync(join(broker.folder, 'password'), 'wrong\n');
      const watched = linkTo(config());
      await watched.fault('link.mqtt-refused');
      expect(watched.link.state().kind).toBe('down');
      writeFileSync(join(broker.folder, 'password'), 'secret\n');
      await watched.up();
      expect(watched.link.state().lastFault).toBeNull();
    },
  );
});

describe('a broker with access rules', () => {
  let broker: Mosquitto;
  beforeAll(async () => {
    if (!have) return;
    broker = await startMosquitto((folder) => {
      const rules = join(folder, 'acl');
      writeFileSync(rules, `topic read ${ROOT}/#\ntopic write ${ROOT}/d/press-7/presence\n`);
      return ['allow_anonymous true', `acl_file ${rules}`];
    });
  });
  afterAll(async () => broker?.remove());

  real(`is used as far as they go, and a forbidden status is a fault${why}`, async () => {
    const watched = linkTo(brokerAt(`mqtt://127.0.0.1:${broker.port}`));
    await watched.up();
    const sent = await watched.link.publish(STATUS, new Uint8Array([1]), true);
    expect(sent.ok ? '' : sent.fault.code).toBe('link.mqtt-refused');
  });
});

/** Every message of a topic, as a process of its own sees them. */
function watch(broker: Mosquitto, topic: string, see: (payload: Uint8Array) => void): ChildProcess {
  const args = ['-p', String(broker.port), '-t', topic, '-q', '1', '-F', '%x'];
  const child = spawn('mosquitto_sub', args, { stdio: ['ignore', 'pipe', 'ignore'] });
  let text = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    text += chunk.toString();
    const lines = text.split('\n');
    text = lines.pop() ?? '';
    for (const line of lines) see(new Uint8Array(Buffer.from(line, 'hex')));
  });
  return child;
}
