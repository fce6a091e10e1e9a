/**
 * The time authority over real parts: `time serve`, `time sign` and the hub, what they sign and what
 * they refuse. Devices are in time.test.ts.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { writeTimeRequest } from '#wire/time-statement.ts';
import { endChild, run } from '../support/command.ts';
import { AT_1970 } from '../support/dead-clock.ts';
import { holdfast } from '../support/device.ts';
import { eventually } from '../support/eventually.ts';
import { fetchArtifact, newKey, pushEnvelope, signState } from '../support/forge.ts';
import { freePort } from '../support/free-port.ts';
import { makePlant, type Parts, type Plant, startParts } from '../support/plant.ts';
import { attested, lacks, publish, serve } from '../support/time-world.ts';

const real = lacks === null ? test : test.skip;
const title = (what: string) => (lacks === null ? what : `${what} (${lacks})`);

let parts: Parts;
let plant: Plant;

beforeAll(async () => {
  if (lacks !== null) return;
  parts = await startParts();
  plant = await makePlant(parts, { init: ['--time-key'] });
});
afterAll(async () => {
  await plant?.remove();
  await parts?.remove();
});

describe('the authority', () => {
  real(title('signs nothing by a clock that cannot be right, nor without a role'), async () => {
    const signed = await run([...AT_1970, holdfast, 'time', 'sign'], { cwd: plant.fleetFolder });
    expect([signed.code, signed.err]).toEqual([2, expect.stringContaining('publish.time-clock')]);
    const other = await makePlant(parts);
    const none = await other.holdfast(['time', 'sign']);
    expect([none.code, none.err]).toEqual([2, expect.stringContaining('publish.time-role')]);
    await other.remove();
  });

  real(
    title('takes no key that the root does not name, and no half of a certificate'),
    async () => {
      const stable = join(plant.fleetFolder, 'keys/signing/stable.pem');
      const key = await plant.holdfast(['time', 'sign', '--key', stable]);
      expect([key.code, key.err]).toEqual([2, expect.stringContaining('publish.time-key')]);
      const half = await plant.holdfast(['time', 'serve', '--port', '0', '--tls-cert', stable]);
      expect([half.code, half.err]).toEqual([2, expect.stringContaining('publish.option')]);
      const open = await plant.holdfast(['time', 'serve', '--port', '0', '--listen', '0.0.0.0']);
      expect([open.code, open.err]).toEqual([2, expect.stringContaining('--insecure')]);
      const nonce = await plant.holdfast(['time', 'sign', '--nonce', 'abcd', '--device', 'a']);
      expect([nonce.code, nonce.err]).toEqual([2, expect.stringContaining('--nonce')]);
    },
  );

  real(title('is made with a root by init, and a channel cannot have its name'), async () => {
    expect(existsSync(join(plant.fleetFolder, 'keys/signing/time.pem'))).toBe(true);
    const folder = join(plant.folder, 'other');
    const args = ['init', folder, '--time-key', '--channel', 'time', '--no-passphrase'];
    const made = await plant.holdfast(args);
    expect([made.code, made.err]).toEqual([2, expect.stringContaining('publish.time-channel')]);
    const plain = await plant.holdfast([
      'init',
      join(plant.folder, 'third'),
      '--time-key',
      '--no-passphrase',
    ]);
    expect(plain.out).toContain('online key');
  });
});

describe('what the authority says, and to whom', () => {
  real(title('names no head that it has not verified, and goes on with the others'), async () => {
    const point = await publish(plant, 'heads=2');
    const artifact = await fetchArtifact(plant.registry, 'canary');
    const envelope = signState(artifact.state, [newKey()]);
    await pushEnvelope(plant.registry, 'stable', { artifact, envelope });
    const heads = async (...flags: string[]) => {
      const out = join(plant.folder, `heads-${flags.length}.json`);
      const signed = await plant.holdfast(['time', 'sign', '--out', out, '-o', 'json', ...flags]);
      return [signed.code, (JSON.parse(signed.out) as { heads: string[] }).heads];
    };
    expect(await heads()).toEqual([0, [`canary ${point}`]]);
    expect(await heads('--no-heads')).toEqual([0, []]);
  });

  real(
    title('answers an agent that looks once'),
    async () => {
      const serving = await serve(plant);
      const trust = { root: plant.root, allowDemo: true, unattestedMax: '1s' };
      const settings = { mqtt: undefined, trust, time: { url: serving.url } };
      const device = plant.device('press-once', { wrap: AT_1970, settings });
      await publish(plant, 'once=1');
      const command = [...AT_1970, holdfast, 'agent', '--once', '--config', device.configFile];
      expect((await run(command)).code).toBe(0);
      expect(device.read('speed.conf')).toBe('once=1\n');
      await serving.stop();
      await publish(plant, 'once=2');
      const alone = await run(command);
      expect([alone.code, device.read('speed.conf')]).toEqual([3, 'once=1\n']);
    },
    60_000,
  );
});

describe('the hub', () => {
  real(
    title('says what time it is beside registry and broker, over MQTT and HTTP'),
    async () => {
      const data = join(plant.folder, 'hub');
      const [registryPort, mqttPort] = [await freePort(), await freePort()];
      const own = await makePlant(parts, {
        registry: `http://127.0.0.1:${registryPort}/plant/state`,
        mqtt: `mqtt://127.0.0.1:${mqttPort}`,
        init: ['--time-key'],
        watch: ['-p', String(parts.broker.port)],
      });
      const key = join(own.fleetFolder, 'keys/signing/time.pem');
      const ports = ['--registry-port', `${registryPort}`, '--mqtt-port', `${mqttPort}`];
      const time = ['--time-key', key, '--fleet', own.fleetFolder, '--time-port', '0'];
      const hub = spawn(holdfast, ['hub', '--data', data, ...ports, ...time], {
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let out = '';
      for (const stream of [hub.stdout, hub.stderr])
        stream.on('data', (text) => {
          out += text;
        });
      const url = await eventually('the hub says the time', () => {
        if (hub.exitCode !== null) throw new Error(out);
        return /^time +(http:\/\/\S+)$/m.exec(out)?.[1];
      });
      const request = writeTimeRequest({ nonce: new Uint8Array(16), deviceId: 'curl' });
      const headers = { 'content-type': 'application/vnd.holdfast.time-request.v1+protobuf' };
      const asked = await fetch(url, { method: 'POST', body: new Uint8Array(request), headers });
      expect([asked.status, asked.headers.get('content-type')]).toEqual([
        200,
        'application/vnd.holdfast.time.v1+json',
      ]);
      expect((await fetch(url)).status).toBe(405);
      expect((await fetch(url, { method: 'POST', body: 'what time?' })).status).toBe(415);
      expect((await fetch(url, { method: 'POST', body: 'no', headers })).status).toBe(400);
      const device = own.device('press-hub', { wrap: AT_1970 });
      await device.start();
      await attested(device);
      await endChild(hub, 'SIGTERM');
      await own.remove();
    },
    60_000,
  );
});
