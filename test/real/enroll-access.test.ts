/**
 * What a device can do with the credential that a hub gave it, and what not: at the hub's own registry
 * and broker, and at a real Mosquitto and docker-registry that trust the hub's authority.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeCa, makeLeaf, SERVER } from '../support/certificates.ts';
import { run } from '../support/command.ts';
import { holdfast } from '../support/device.ts';
import { startRegistry } from '../support/docker-registry.ts';
import { eventually } from '../support/eventually.ts';
import { startMosquitto } from '../support/mosquitto.ts';
import { program } from '../support/parts.ts';
import { missing } from '../support/plant.ts';
import { type Cabinet, cabinet, type SecureHub, secureHub } from '../support/secure-hub.ts';

const lacking = missing ?? ['openssl', 'curl'].find((name) => program(name) === null) ?? null;
const real = lacking === null ? test : test.skip;
const title = (what: string) => (lacking === null ? what : `${what} (${lacking})`);

const folder = mkdtempSync(join(tmpdir(), 'holdfast-access-'));
let hub: SecureHub;

beforeAll(async () => {
  if (lacking === null) hub = await secureHub(folder);
});
afterAll(async () => {
  await hub?.stop('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

describe('device A', () => {
  let a: Cabinet;
  const mqtt = (tool: string, device: Cabinet, ...args: readonly string[]) => {
    const pem = join(device.hubFolder, 'credential.pem');
    const tls = ['--cafile', hub.ca, '--cert', pem, '--key', pem];
    return run([tool, '-h', '127.0.0.1', '-p', String(hub.mqttPort), ...tls, '-V', '311', ...args]);
  };
  const curl = (...args: readonly string[]) => {
    const pem = join(a.hubFolder, 'credential.pem');
    const tls = ['--cacert', hub.ca, '--cert', pem, '--key', pem];
    return run(['curl', '-s', '-o', '/dev/null', '-w', '%{http_code}', ...tls, ...args]);
  };

  beforeAll(async () => {
    if (lacking !== null) return;
    a = cabinet(folder, 'a');
    await a.enroll(['--token', await hub.token('a')]);
  });

  real(title('N23: publishes its own status and nobody else’s'), async () => {
    const id = ['-i', 'holdfast-0123456789abcdef-a', '-q', '1', '-m', 'x', '-t'];
    expect((await mqtt('mosquitto_pub', a, ...id, 'p/d/a/status')).code).toBe(0);
    await mqtt('mosquitto_pub', a, ...id, 'p/d/b/status', '-r');
    await hub.operator('operator', 'watch', '--out', join(folder, 'watch'));
    const [user, secret] = ['user', 'secret'].map((name) =>
      readFileSync(join(folder, 'watch', name), 'utf8').trim(),
    );
    const watch = [
      '-u',
      user ?? '',
      '-P',
      secret ?? '',
      '-t',
      'p/d/b/status',
      '-C',
      '1',
      '-W',
      '1',
    ];
    const port = ['-h', '127.0.0.1', '-p', String(hub.mqttPort), '--cafile', hub.ca, '-V', '311'];
    const heard = await run(['mosquitto_sub', ...port, ...watch]);
    expect([heard.out, heard.code]).toEqual(['', 27]);
  });

  real(title('N23: is not connected as B, and nobody is without a credential'), async () => {
    const topic = ['-t', 'p/d/a/status', '-m', 'x'];
    const asB = await mqtt('mosquitto_pub', a, '-i', 'holdfast-0123456789abcdef-b', ...topic);
    expect(asB.code).not.toBe(0);
    const port = ['-h', '127.0.0.1', '-p', String(hub.mqttPort), '--cafile', hub.ca, '-V', '311'];
    expect((await run(['mosquitto_pub', ...port, ...topic])).code).not.toBe(0);
  });

  real(
    title('N23: reads the registry, does not push, and does not look up another’s channel'),
    async () => {
      const codes = await Promise.all([
        curl(`${hub.url}/v2/`),
        curl('-X', 'POST', `${hub.url}/v2/plant/state/blobs/uploads/`),
        curl('-X', 'DELETE', `${hub.url}/v2/plant/state/manifests/stable`),
        curl(`${hub.url}/v2/plant/state/manifests/device.b`),
        curl(`${hub.url}/v2/plant/state/manifests/device.a`),
        run([
          'curl',
          '-s',
          '-o',
          '/dev/null',
          '-w',
          '%{http_code}',
          '--cacert',
          hub.ca,
          `${hub.url}/v2/`,
        ]),
      ]);
      expect(codes.map(({ out }) => out)).toEqual(['200', '403', '403', '403', '404', '401']);
    },
  );

  real(title('N24: once revoked opens neither, and its connection ends'), async () => {
    const b = cabinet(folder, 'b');
    await b.enroll(['--token', await hub.token('b')]);
    const listen = ['-i', 'holdfast-0123456789abcdef-b', '-t', 'p/d/b/nudge', '-d'];
    const listening = mqtt('mosquitto_sub', b, ...listen, '-W', '20');
    await eventually('it is connected', async () => {
      const told = await mqtt(
        'mosquitto_pub',
        b,
        '-i',
        'holdfast-0123456789abcdef-b',
        '-t',
        'p/d/b/x',
        '-m',
        '1',
      );
      return told.code === 0;
    });
    await hub.operator('revoke', 'b');
    const told = await mqtt('mosquitto_pub', b, '-t', 'p/d/b/status', '-m', 'x');
    expect(told.code).not.toBe(0);
    await listening;
    const pem = join(b.hubFolder, 'credential.pem');
    const tls = ['--cacert', hub.ca, '--cert', pem, '--key', pem, `${hub.url}/v2/`];
    const asked = await run(['curl', '-s', '-o', '/dev/null', '-w', '%{http_code}', ...tls]);
    expect(asked.out).toBe('401');
  });

  real(
    title('is known to Mosquitto and docker-registry by the certificate of the hub'),
    async () => {
      const ca = makeCa(folder, 'site');
      const server = makeLeaf(folder, 'site-server', ca, SERVER);
      const pem = join(a.hubFolder, 'credential.pem');
      const acl = join(folder, 'acl');
      writeFileSync(acl, 'pattern write p/d/%u/status\n', { mode: 0o600 });
      const broker = await startMosquitto(() => [
        ...[`cafile ${hub.ca}`, `certfile ${server.cert}`, `keyfile ${server.key}`],
        ...['require_certificate true', 'use_identity_as_username true', `acl_file ${acl}`],
      ]);
      const port = ['-h', '127.0.0.1', '-p', String(broker.port), '--cafile', ca.cert, '-q', '1'];
      const own = ['--cert', pem, '--key', pem, '-m', 'x', '-t'];
      const [mine, nobody] = [
        await run(['mosquitto_pub', ...port, ...own, 'p/d/a/status', '-V', '5']),
        await run(['mosquitto_pub', ...port, '-m', 'x', '-t', 'p/d/a/status']),
      ];
      expect([mine.code, mine.err]).toEqual([0, '']);
      expect(nobody.code).not.toBe(0);
      await broker.remove();
      const registry = await startRegistry({ tls: { ...server, clientCa: hub.ca } });
      const url = `https://127.0.0.1:${registry.port}/v2/`;
      const asked = ['curl', '-s', '-o', '/dev/null', '-w', '%{http_code}', '--cacert', ca.cert];
      expect((await run([...asked, '--cert', pem, '--key', pem, url])).out).toBe('200');
      expect((await run([...asked, url])).out).toBe('000');
      await registry.remove();
    },
  );
});

real(title('a folder that no hub with TLS has used has nobody to list (hub.no-tls)'), async () => {
  const asked = await run([holdfast, 'hub', 'enroll', 'list', '--data', join(folder, 'nothing')]);
  expect([asked.code, asked.err.includes('hub.no-tls')]).toEqual([2, true]);
});
