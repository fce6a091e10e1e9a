/** The hub as a process, used by the tools that people have: curl, skopeo, Mosquitto's clients. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { type RunningHub, readUntil, run, spawnHub, startHub, stopHub } from '../support/hub.ts';
import { program } from '../support/parts.ts';
import { digestOf, IMAGE, registryClient } from '../support/registry-client.ts';
import { scratch } from '../support/store.ts';

const skopeo = program('skopeo');
const curl = program('curl');
const clients = program('mosquitto_pub') && program('mosquitto_sub') && program('stdbuf');
const place = scratch('hub');
const data = `${place.path}/data`;
let hub: RunningHub;
beforeAll(async () => {
  hub = await startHub(data);
});
afterAll(async () => {
  await stopHub(hub);
  place.remove();
});

const { url, pushBlob, pushImage } = registryClient(() => hub.registry);

describe.skipIf(!curl)(`curl${curl ? '' : ' (not installed)'}`, () => {
  test('reads a range and resumes a download', async () => {
    const bytes = Buffer.alloc(1_000_000, 'holdfast');
    const digest = await pushBlob('plant/range', bytes);
    const target = url(`/v2/plant/range/blobs/${digest}`);
    const part = await run(['curl', '-s', '-r', '8-15', target]);
    expect(part.out).toBe('holdfast');
    const file = `${place.path}/resumed`;
    writeFileSync(file, bytes.subarray(0, 400_000));
    expect((await run(['curl', '-s', '-C', '-', '-o', file, target])).code).toBe(0);
    expect(readFileSync(file).equals(bytes)).toBe(true);
    const past = await run([
      'curl',
      '-s',
      '-o',
      '/dev/null',
      '-w',
      '%{http_code}',
      '-r',
      '1000000-',
      target,
    ]);
    expect(past.out).toBe('416');
  });
});

/** An image layout with one artifact and one blob. */
function layout(folder: string): string {
  const blobs = `${folder}/blobs/sha256`;
  mkdirSync(blobs, { recursive: true });
  const put = (bytes: Uint8Array, mediaType: string) => {
    writeFileSync(`${blobs}/${digestOf(bytes).slice(7)}`, bytes);
    return { mediaType, digest: digestOf(bytes), size: bytes.length };
  };
  const manifest = {
    schemaVersion: 2,
    mediaType: IMAGE,
    artifactType: 'application/vnd.holdfast.state.v1',
    config: put(Buffer.from('{}'), 'application/vnd.oci.empty.v1+json'),
    layers: [put(Buffer.alloc(300_000, 3), 'application/octet-stream')],
  };
  const entry = put(Buffer.from(JSON.stringify(manifest)), IMAGE);
  writeFileSync(`${folder}/oci-layout`, '{"imageLayoutVersion":"1.0.0"}');
  writeFileSync(`${folder}/index.json`, JSON.stringify({ schemaVersion: 2, manifests: [entry] }));
  return entry.digest;
}

describe.skipIf(!skopeo)(`skopeo${skopeo ? '' : ' (not installed)'}`, () => {
  test('copies a layout in, inspects it, lists its tags and copies it out, byte for byte', async () => {
    const digest = layout(`${place.path}/in`);
    const there = `docker://127.0.0.1:${hub.registry}/plant/copied:stable`;
    const quiet = ['--src-tls-verify=false', '--dest-tls-verify=false', '--insecure-policy'];
    const copy = ['skopeo', 'copy', '--quiet', ...quiet.slice(0, 2)];
    const pushed = await run([
      ...copy.slice(0, 1),
      quiet[2] ?? '',
      ...copy.slice(1),
      `oci:${place.path}/in`,
      there,
    ]);
    expect(pushed).toMatchObject({ code: 0 });
    const raw = await run(['skopeo', 'inspect', '--raw', '--tls-verify=false', there]);
    expect(digestOf(Buffer.from(raw.out))).toBe(digest);
    const tags = await run([
      'skopeo',
      'list-tags',
      '--tls-verify=false',
      there.replace(':stable', ''),
    ]);
    expect(JSON.parse(tags.out)).toMatchObject({ Tags: ['stable'] });
    const pulled = await run([
      ...copy.slice(0, 1),
      quiet[2] ?? '',
      ...copy.slice(1),
      there,
      `oci:${place.path}/out`,
    ]);
    expect(pulled).toMatchObject({ code: 0 });
    expect(readdirSync(`${place.path}/out/blobs/sha256`).sort()).toEqual(
      readdirSync(`${place.path}/in/blobs/sha256`).sort(),
    );
  }, 30_000);
});

describe.skipIf(!clients)(`Mosquitto's clients${clients ? '' : ' (not installed)'}`, () => {
  const port = () => String(hub.mqtt);
  const send = (topic: string, message: string, ...more: string[]) =>
    run(['mosquitto_pub', '-p', port(), '-t', topic, '-m', message, '-q', '1', ...more]);
  const receive = (topic: string, ...more: string[]) =>
    run(['mosquitto_sub', '-p', port(), '-t', topic, '-C', '1', '-W', '5', '-q', '1', ...more]);

  test('a retained message reaches who subscribes later; a nudge reaches who is there', async () => {
    expect((await send('h/d/press-7/status', 'fine', '-r')).code).toBe(0);
    expect((await receive('h/d/+/status')).out).toBe('fine\n');
    const waiting = Bun.spawn(
      [
        'stdbuf',
        '-oL',
        'mosquitto_sub',
        '-d',
        '-p',
        port(),
        '-t',
        'h/c/+/nudge',
        '-C',
        '1',
        '-W',
        '10',
        '-q',
        '1',
      ],
      { stdout: 'pipe' },
    );
    await readUntil(waiting.stdout, /SUBACK/);
    await send('h/c/stable/nudge', 'look');
    expect(await readUntil(waiting.stdout, /look\n/)).toContain('look\n');
    await waiting.exited;
  }, 20_000);

  test('a will is published when a client dies, and kept when it is retained', async () => {
    const will = ['--will-topic', 'h/d/x/presence', '--will-payload', 'offline', '--will-retain'];
    const dying = Bun.spawn(
      ['stdbuf', '-oL', 'mosquitto_sub', '-d', '-p', port(), '-t', 'z', ...will],
      {
        stdout: 'pipe',
      },
    );
    await readUntil(dying.stdout, /SUBACK/);
    dying.kill('SIGKILL');
    await dying.exited;
    expect((await receive('h/d/x/presence')).out).toBe('offline\n');
  }, 20_000);

  test('M03: a topic of the broker is not to be written', async () => {
    const refused = await send('$SYS/x', 'no');
    const allowed = await send('h/ok', 'yes', '-r');
    expect(allowed.code).toBe(0);
    expect((await receive('h/ok')).out).toBe('yes\n');
    expect(readFileSync(`${data}/mqtt/retained.jsonl`, 'utf8')).not.toContain('SYS');
    expect(refused.code).not.toBe(0);
  });

  test('M01: a packet that announces more than 1 MiB ends its connection at once', async () => {
    const socket = connect(hub.mqtt, '127.0.0.1');
    const closed = new Promise((resolve) => socket.once('close', resolve));
    await new Promise((resolve) => socket.once('connect', resolve));
    socket.on('error', () => undefined);
    socket.write(Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f]));
    await closed;
    expect((await receive('h/ok')).out).toBe('yes\n');
  });

  test('MQTT 5 is refused, so that a client goes on with 3.1.1', async () => {
    const refused = await run([
      'mosquitto_pub',
      '-V',
      'mqttv5',
      '-p',
      port(),
      '-t',
      'a',
      '-m',
      'b',
    ]);
    expect(refused.code).not.toBe(0);
  });
});

describe('the process', () => {
  test('a second hub on the folder is refused, and so is a port in use', async () => {
    const same = spawnHub('--data', data, '--registry-port', '0', '--mqtt-port', '0');
    expect(await same.exited).toBe(2);
    expect(await new Response(same.stderr).text()).toContain('hub.in-use');
    const port = spawnHub('--data', `${place.path}/b`, '--registry-port', String(hub.registry));
    expect(await port.exited).toBe(2);
    expect(await new Response(port.stderr).text()).toContain('hub.port-in-use');
  });

  test('beyond loopback it wants --insecure', async () => {
    const open = spawnHub('--data', `${place.path}/c`, '--listen', '0.0.0.0');
    expect(await open.exited).toBe(2);
    expect(await new Response(open.stderr).text()).toContain('hub.not-loopback');
  });

  test('SIGTERM ends it cleanly, and a restart keeps manifests, blobs, tags and messages', async () => {
    const { bytes, digest } = await pushImage('plant/kept', 'stable', 'kept');
    const begun = await fetch(url('/v2/plant/kept/blobs/uploads/'), { method: 'POST' });
    expect(begun.status).toBe(202);
    // QoS 1: without an acknowledgement the signal may be there first.
    const message = ['-t', 'k', '-m', 'v', '-r', '-q', '1'];
    if (clients) await run(['mosquitto_pub', '-p', String(hub.mqtt), ...message]);
    expect(await stopHub(hub)).toBe(0);
    hub = await startHub(data);
    const got = await fetch(url('/v2/plant/kept/manifests/stable'));
    expect(got.headers.get('docker-content-digest')).toBe(digest);
    expect(bytes.equals(new Uint8Array(await got.arrayBuffer()))).toBe(true);
    expect((await fetch(url(begun.headers.get('location') ?? ''))).status).toBe(404);
    if (!clients) return;
    const kept = await run([
      'mosquitto_sub',
      '-p',
      String(hub.mqtt),
      '-t',
      'k',
      '-C',
      '1',
      '-W',
      '5',
    ]);
    expect(kept.out).toBe('v\n');
  }, 30_000);

  test('kill -9 loses nothing that was acknowledged', async () => {
    const { digest } = await pushImage('plant/kept', 'killed', 'kill');
    if (clients) {
      const command = [
        'mosquitto_pub',
        '-p',
        String(hub.mqtt),
        '-t',
        'q',
        '-m',
        'w',
        '-r',
        '-q',
        '1',
      ];
      expect((await run(command)).code).toBe(0);
    }
    hub.process.kill('SIGKILL');
    await hub.process.exited;
    hub = await startHub(data);
    const head = await fetch(url('/v2/plant/kept/manifests/killed'), { method: 'HEAD' });
    expect(head.headers.get('docker-content-digest')).toBe(digest);
    if (!clients) return;
    const kept = await run([
      'mosquitto_sub',
      '-p',
      String(hub.mqtt),
      '-t',
      'q',
      '-C',
      '1',
      '-W',
      '5',
    ]);
    expect(kept.out).toBe('w\n');
  }, 30_000);

  test('D19: a manifest that rotted on disk is not served', async () => {
    const { bytes, digest } = await pushImage('plant/rot', 'x', 'rot');
    const file = `${data}/registry/blobs/${digest.slice(7)}`;
    writeFileSync(file, Buffer.concat([bytes.subarray(1), Buffer.from(' ')]));
    expect((await fetch(url('/v2/plant/rot/manifests/x'))).status).toBe(500);
    await pushImage('plant/rot', 'x', 'rot');
    expect((await fetch(url('/v2/plant/rot/manifests/x'))).status).toBe(200);
  });
});
