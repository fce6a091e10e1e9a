/**
 * MQTT in a WebSocket, against Mosquitto's: plain and TLS, through two real proxies, with a dead
 * clock and with anchors of our own.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BrokerConfig } from '#link/mqtt-broker.ts';
import type { PeerTime } from '#link/peer.ts';
import {
  type CertificateFiles,
  CLIENT,
  makeCa,
  makeLeaf,
  SERVER,
} from '../support/certificates.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import {
  clients,
  type Mosquitto,
  mosquitto,
  retained,
  say,
  startMosquitto,
} from '../support/mosquitto.ts';
import { brokerAt, ROOT, type WatchedLink, watchedLink } from '../support/mqtt-world.ts';
import { noProxies, type RealProxy, startSquid, startTinyproxy } from '../support/proxies.ts';

const have = mosquitto !== null && clients !== null;
const real = have ? test : test.skip;
const why = have ? '' : ' (mosquitto is not installed)';
const proxied = have && noProxies === null ? test : test.skip;
const whyProxied = have && noProxies === null ? '' : ` (${noProxies ?? 'no mosquitto'})`;
const STATUS = `${ROOT}/d/press-7/status`;
const DEAD: PeerTime = { floorMs: Date.now(), wallPlausible: false };

const open: WatchedLink[] = [];
afterEach(async () => {
  for (const { link } of open.splice(0)) await link.close();
});

function linkTo(config: BrokerConfig, time?: () => PeerTime): WatchedLink {
  const watched = watchedLink(config, time);
  open.push(watched);
  watched.link.start();
  return watched;
}

describe('a broker behind WebSockets', () => {
  let folder: string;
  let broker: Mosquitto;
  let ports: { readonly ws: number; readonly wss: number };
  let ca: CertificateFiles;
  let other: CertificateFiles;
  let client: CertificateFiles;
  beforeAll(async () => {
    if (!have) return;
    folder = mkdtempSync(join(tmpdir(), 'holdfast-ws-'));
    ca = makeCa(folder, 'ca');
    other = makeCa(folder, 'other');
    const leaf = makeLeaf(folder, 'broker', ca, SERVER);
    client = makeLeaf(folder, 'device', ca, CLIENT);
    ports = { ws: await freePort(), wss: await freePort() };
    broker = await startMosquitto(() => [
      'allow_anonymous true',
      ...[`listener ${ports.ws} 127.0.0.1`, 'protocol websockets'],
      ...[`listener ${ports.wss} 127.0.0.1`, 'protocol websockets', 'require_certificate true'],
      ...[`cafile ${ca.cert}`, `certfile ${leaf.cert}`, `keyfile ${leaf.key}`],
    ]);
  });
  afterAll(async () => {
    await broker?.remove();
    if (folder) rmSync(folder, { recursive: true, force: true });
  });

  const secure = (more: Partial<BrokerConfig> = {}): BrokerConfig =>
    brokerAt(`wss://localhost:${ports.wss}/mqtt`, {
      tls: { ca: ca.cert, cert: client.cert, key: client.key },
      ...more,
    });

  async function worksOver(config: BrokerConfig, time?: () => PeerTime): Promise<void> {
    const watched = linkTo(config, time);
    await watched.up();
    const large = Buffer.alloc(100_000, 'turbine ');
    say(broker, `${ROOT}/c/stable/nudge`, large);
    const nudge = await eventually('the nudge', () =>
      watched.events.find(({ kind }) => kind === 'nudge'),
    );
    expect('payload' in nudge && Buffer.from(nudge.payload).equals(large)).toBe(true);
    const status = Buffer.alloc(70_000, 'status ');
    expect((await watched.link.publish(STATUS, status, true)).ok).toBe(true);
    expect(retained(broker, STATUS)?.equals(status)).toBe(true);
  }

  for (const protocol of ['5', '3.1.1'] as const) {
    real(`ws: MQTT ${protocol}, messages of every length both ways${why}`, async () => {
      await worksOver(brokerAt(`ws://127.0.0.1:${ports.ws}/mqtt`, { protocol }));
    });
  }
  real(`wss with a client certificate, also while the clock is dead${why}`, async () => {
    await worksOver(secure());
    for (const { link } of open.splice(0)) await link.close();
    await worksOver(secure(), () => DEAD);
  });
  for (const [what, time] of [
    ['by the runtime', undefined],
    ['by our own check, at 1970', () => DEAD],
  ] as const) {
    real(`L17: wss with another CA is refused ${what}${why}`, async () => {
      const watched = linkTo(secure({ tls: { ca: other.cert } }), time);
      await watched.fault('link.tls-untrusted');
      expect(watched.events.some(({ kind }) => kind === 'up')).toBe(false);
    });
  }
  real(`a port that speaks plain MQTT opens no WebSocket, and is named${why}`, async () => {
    const watched = linkTo(brokerAt(`ws://127.0.0.1:${broker.port}/mqtt`));
    await watched.fault('link.websocket');
    expect(watched.link.state().lastFault?.remedy).toContain('WebSockets');
  });

  describe('behind two proxies in a row', () => {
    let first: RealProxy;
    let second: RealProxy;
    beforeAll(async () => {
      if (!have || noProxies !== null) return;
      second = await startTinyproxy();
      first = await startSquid({ login: 'plc-7:p:a/ss', next: second.port });
    });
    afterAll(async () => {
      await first?.remove();
      await second?.remove();
    });
    const through = (password: string): Partial<BrokerConfig> => {
      const [usernameFile, passwordFile] = [join(folder, 'user'), join(folder, 'password')];
      writeFileSync(usernameFile, 'plc-7\n');
      writeFileSync(passwordFile, `${password}\n`);
      return {
        proxy: `http://127.0.0.1:${first.port}`,
        proxyAuth: { usernameFile, passwordFile },
      };
    };
    proxied(`wss with mutual TLS end to end, credentials from files${whyProxied}`, async () => {
      await worksOver(secure(through('p:a/ss')));
      expect(second.log()).toContain(`CONNECT localhost:${ports.wss}`);
      for (const { link } of open.splice(0)) await link.close();
      // squid writes down what has ended.
      await eventually('squid tells', () => first.log().includes(`CONNECT localhost:${ports.wss}`));
    });
    proxied(`the same while the clock is dead${whyProxied}`, async () => {
      await worksOver(secure(through('p:a/ss')), () => DEAD);
    });
    proxied(`407 is named, and the password is not${whyProxied}`, async () => {
      const watched = linkTo(secure(through('hushhush')));
      await watched.fault('link.proxy');
      const { message = '' } = watched.link.state().lastFault ?? {};
      expect(message).toContain('407');
      expect(message).not.toContain('hushhush');
    });
  });
});
