/**
 * Values sealed to one device, with the compiled executable, a real broker and a real registry: who
 * may read them does, and nothing that is kept or sent holds them. The secret's traces are looked for
 * in every file of device, publisher and registry, in logs, and in all that went over the broker.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Device, programsOf } from '../support/device.ts';
import { eventually } from '../support/eventually.ts';
import { changed, channelKey, fetchArtifact, pushEnvelope, signState } from '../support/forge.ts';
import {
  linesOf,
  makePlant,
  missing,
  type Parts,
  type Plant,
  processSpec,
  startParts,
} from '../support/plant.ts';
import {
  eavesdrop,
  filesWith,
  sealFor,
  spellings,
  volatileRunDir,
} from '../support/sealed-plant.ts';

const real = missing === null ? test : test.skip;
const title = (what: string) => (missing === null ? what : `${what} (${missing})`);

const FIRST = 'Rm9yIHRoZSBwcmVzcw-one-48151623';
const SECOND = 'Rm9yIHRoZSBwcmVzcw-two-42108423';
const BAD = 'Rm9yIHRoZSBwcmVzcw-bad-15162342';
const OWN = 'device.press-7';

let parts: Parts;
let plant: Plant;
let device: Device;
let removeRunDir: () => void;
let broker: ReturnType<typeof eavesdrop>;

const journal = () => join(device.folder, 'journal');
const hashed = (text: string) => createHash('sha256').update(text).digest('hex');
const starts = () => linesOf(journal()).filter((line) => line.startsWith('start '));
const channelOf = async (name: string) =>
  (await device.status()).channels.find(({ channel }) => channel === name);

/** Notes what it got by its hash alone; ends at once when the secret is the bad one. */
const PROGRAM = (file: string) => `#!/bin/sh
h() { printf %s "$1" | sha256sum | cut -d' ' -f1; }
echo "start $(h "$DB_PASSWORD") $(h "$(cat "$DB_FILE")") $SERIAL $$" >> ${file}
test "$(h "$DB_PASSWORD")" = ${hashed(BAD)} && exit 1
trap 'exit 0' TERM
while :; do sleep 60 & wait $!; done
`;

const NEIGHBOUR = (file: string) => `#!/bin/sh
echo "neighbour $$" >> ${file}
trap 'exit 0' TERM
while :; do sleep 60 & wait $!; done
`;

function writeState(): void {
  plant.write('canary', 'bin/press', PROGRAM(journal()), 0o755);
  plant.write('canary', 'bin/neighbour', NEIGHBOUR(journal()), 0o755);
  const to = (pointer: string, more = {}) => ({ pointer, components: ['main'], ...more });
  plant.deploy(
    'canary',
    'press',
    processSpec(
      { blob: 'bin/press', restart: { backoff: '100ms' } },
      {
        parameters: {
          password: {
            valueFrom: { deviceValue: 'db-password' },
            targets: [to('DB_PASSWORD'), to('DB_FILE', { as: 'file' })],
          },
          serial: { valueFrom: { deviceValue: 'serial' }, targets: [to('SERIAL')] },
        },
      },
    ),
  );
  plant.deploy('canary', 'neighbour', processSpec({ blob: 'bin/neighbour' }));
}

function writeSerial(serial: string): void {
  const document = { apiVersion: 'holdfast/v1', kind: 'Values', id: 'plain' };
  plant.write(
    OWN,
    'plain.yaml',
    JSON.stringify({ ...document, values: { serial: { value: serial } } }),
  );
}

/** Everything that is kept anywhere, and everything that was said. */
function traces(...secrets: readonly string[]): readonly string[] {
  const texts = secrets.flatMap(spellings);
  const folders = [device.folder, plant.fleetFolder, parts.registry.folder];
  // The one place that may: on tmpfs, the program's own.
  const own = join(device.runDir, 'secrets/press/main/DB_FILE');
  const kept = filesWith(folders, texts).filter((path) => path !== own);
  const said = { log: device.log(), broker: broker.heard().toString('latin1') };
  return [
    ...kept,
    ...Object.entries(said).flatMap(([what, text]) => {
      return texts.some((secret) => text.includes(secret)) ? [what] : [];
    }),
  ];
}

async function ownPoint(point: string): Promise<void> {
  await eventually(`${OWN} ${point}`, async () => {
    return (await channelOf(OWN))?.applied?.point === point;
  });
}

beforeAll(async () => {
  if (missing !== null) return;
  parts = await startParts();
  plant = await makePlant(parts, { channels: ['canary', 'device.*'] });
  device = plant.device('press-7');
  removeRunDir = volatileRunDir(device);
  broker = eavesdrop(parts, plant);
});
afterAll(async () => {
  await broker?.stop();
  await plant?.remove();
  removeRunDir?.();
  await parts?.remove();
});

describe('a value sealed to one device', () => {
  real(title('is waited for by name, while nothing else is'), async () => {
    await device.start();
    await device.linked();
    writeState();
    await plant.publish('canary');
    await eventually('it waits', async () => (await channelOf('canary'))?.waitingFor);
    const waiting = (await channelOf('canary'))?.waitingFor;
    expect(waiting?.code).toBe('values.unresolved');
    expect(waiting?.message).toContain('db-password');
    await device.reports('that it waits', ({ waitingFor }) => waitingFor === 'values.unresolved');
  });

  real(title('reaches its program, in the environment and in a file of its own'), async () => {
    writeSerial('0047');
    await sealFor(plant, device, { name: 'db-password', secret: FIRST });
    const published = await plant.publish(OWN);
    expect(published).toMatchObject({ point: '1.1', nudged: true });
    await device.applied('1.1');
    await ownPoint('1.1');
    await eventually('it started', () => starts().length === 1);
    expect(starts()[0]).toStartWith(`start ${hashed(FIRST)} ${hashed(FIRST)} 0047 `);
    const file = join(device.runDir, 'secrets/press/main/DB_FILE');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file, 'utf8')).toBe(FIRST);
  });

  real(title('N13: is in no file, log, status or message of anybody'), async () => {
    for (const args of [['status'], ['explain'], ['plan'], ['history'], ['audit']]) {
      const shown = await device.command([...args, '-o', 'json']);
      for (const text of spellings(FIRST)) expect(shown.out + shown.err).not.toContain(text);
    }
    const exported = join(device.folder, 'audit-file');
    await device.command(['audit', 'export', '-f', exported]);
    expect(existsSync(exported)).toBe(true);
    expect(traces(FIRST)).toEqual([]);
    // what is looked for would be found
    expect(filesWith([plant.fleetFolder], ['0047'])).not.toEqual([]);
    expect(broker.heard().length).toBeGreaterThan(0);
  });

  real(title('is opened again after a power cut without any network'), async () => {
    await device.stop('SIGKILL');
    for (const pid of programsOf(device.stateDir)) process.kill(pid, 'SIGKILL');
    for (const name of readdirSync(device.runDir)) {
      rmSync(join(device.runDir, name), { recursive: true, force: true });
    }
    const before = starts().length;
    const { registries, mqtt } = device.config;
    const nowhere = {
      registries: [{ url: 'http://127.0.0.1:9/x/y' }],
      mqtt: { url: 'mqtt://127.0.0.1:9' },
    };
    device.configure(nowhere);
    await device.start();
    await eventually('it started', () => starts().length === before + 1);
    expect(starts().at(-1)).toStartWith(`start ${hashed(FIRST)} ${hashed(FIRST)} 0047 `);
    expect(traces(FIRST)).toEqual([]);
    await device.stop();
    device.configure({ registries, mqtt });
    await device.start();
    await device.linked();
  });

  real(title('that changes restarts what names it, and nothing else'), async () => {
    const neighbours = () => linesOf(journal()).filter((line) => line.startsWith('neighbour'));
    const [before, others] = [starts().length, neighbours().length];
    await sealFor(plant, device, { name: 'db-password', secret: SECOND });
    await plant.publish(OWN);
    await ownPoint('1.2');
    await eventually('it started again', () => starts().length === before + 1);
    expect(starts().at(-1)).toStartWith(`start ${hashed(SECOND)} ${hashed(SECOND)} 0047 `);
    await device.applied('1.1');
    expect(neighbours().length).toBe(others);
    expect(readFileSync(join(device.runDir, 'secrets/press/main/DB_FILE'), 'utf8')).toBe(SECOND);
  });

  real(title('sealed anew and the same restarts nothing'), async () => {
    const before = starts().length;
    await sealFor(plant, device, { name: 'db-password', secret: SECOND });
    await plant.publish(OWN);
    await ownPoint('1.3');
    await device.command(['apply']);
    expect(starts().length).toBe(before);
  });

  real(title('that a program does not live with is undone: the old one is back'), async () => {
    await sealFor(plant, device, { name: 'db-password', secret: BAD });
    await plant.publish(OWN);
    await eventually('it is refused', async () => (await channelOf(OWN))?.refused);
    const own = await channelOf(OWN);
    expect(own?.refused?.code).toBe('apply.health-failed');
    expect([own?.desired?.point, own?.applied?.point]).toEqual(['1.4', '1.3']);
    await eventually('the old one runs', () => {
      return starts()
        .at(-1)
        ?.startsWith(`start ${hashed(SECOND)} `);
    });
    await device.applied('1.1');
    const before = starts().length;
    await device.command(['apply']);
    expect(starts().length).toBe(before);
    expect(traces(FIRST, SECOND, BAD)).toEqual([]);
  });

  real(title('goes on by a bundle, and by a push that only the broker carries'), async () => {
    await sealFor(plant, device, { name: 'db-password', secret: FIRST });
    const bundle = join(device.folder, 'stick');
    const wrote = await plant.holdfast(['publish', OWN, '-y', '--to', `oci:${bundle}`]);
    expect(wrote.err).toBe('');
    const applied = await device.command(['apply', bundle, '-o', 'json']);
    expect(JSON.parse(applied.out)).toMatchObject({ result: 'applied', offered: '1.5' });
    await eventually('the first again', () =>
      starts()
        .at(-1)
        ?.startsWith(`start ${hashed(FIRST)} `),
    );
    writeSerial('0048');
    await device.stop();
    const { registries } = device.config;
    device.configure({ registries: [] });
    await device.start();
    await device.linked();
    await plant.publish(OWN, '--push');
    await eventually('the serial', () => starts().at(-1)?.includes(' 0048 '));
    await device.stop();
    device.configure({ registries });
    await device.start();
    await device.linked();
    expect(traces(FIRST, SECOND, BAD)).toEqual([]);
  });

  real(title('comes back with the state that had it, when an operator goes back'), async () => {
    plant.deploy('canary', 'neighbour', processSpec({ blob: 'bin/neighbour', env: { NEXT: '1' } }));
    await plant.publish('canary');
    await device.applied('1.2');
    await sealFor(plant, device, { name: 'db-password', secret: SECOND });
    await plant.publish(OWN);
    await eventually('the second', () =>
      starts()
        .at(-1)
        ?.startsWith(`start ${hashed(SECOND)} `),
    );
    await device.applied('1.2');
    const back = await device.command(['rollback', '-o', 'json']);
    expect(JSON.parse(back.out)).toMatchObject({ result: 'rolled back to', offered: '1.1' });
    expect(starts().at(-1)).toStartWith(`start ${hashed(FIRST)} ${hashed(FIRST)} 0048 `);
    await device.command(['resume']);
    await device.applied('1.2');
    await eventually('the second', () =>
      starts()
        .at(-1)
        ?.startsWith(`start ${hashed(SECOND)} `),
    );
    expect(traces(FIRST, SECOND, BAD)).toEqual([]);
  });

  real(title('is still there when the store is lost, without any network'), async () => {
    await device.stop('SIGKILL');
    for (const pid of programsOf(device.stateDir)) process.kill(pid, 'SIGKILL');
    rmSync(join(device.stateDir, 'store'), { recursive: true });
    const before = starts().length;
    const { registries, mqtt } = device.config;
    const nowhere = 'http://127.0.0.1:9/x/y';
    device.configure({ registries: [{ url: nowhere }], mqtt: { url: 'mqtt://127.0.0.1:9' } });
    await device.start();
    await eventually('it started', () => starts().length > before);
    expect(starts().at(-1)).toStartWith(`start ${hashed(SECOND)} ${hashed(SECOND)} 0048 `);
    expect((await channelOf(OWN))?.applied?.point).toBe(
      (await channelOf(OWN))?.desired?.point ?? '',
    );
    expect(traces(FIRST, SECOND, BAD)).toEqual([]);
    await device.stop();
    device.configure({ registries, mqtt });
    await device.start();
    await device.linked();
  });

  real(title('for a key that this device has no more is refused; what runs, runs'), async () => {
    const pids = [...programsOf(device.stateDir)].sort();
    await device.stop('SIGKILL');
    rmSync(join(device.stateDir, 'identity/sealing.key'));
    await device.start();
    await device.linked();
    writeSerial('0049');
    await plant.publish(OWN);
    await eventually(
      'it is refused',
      async () => (await channelOf(OWN))?.refused?.code === 'values.unopened',
    );
    expect([...programsOf(device.stateDir)].sort()).toEqual(pids);
    await device.reports('a new key', ({ events }) => events.includes('identity.sealing-key'));
    await sealFor(plant, device, { name: 'db-password', secret: SECOND });
    await plant.publish(OWN);
    await eventually('the second', () =>
      starts()
        .at(-1)
        ?.startsWith(`start ${hashed(SECOND)} ${hashed(SECOND)} 0049 `),
    );
    expect(traces(FIRST, SECOND, BAD)).toEqual([]);
  });
});

describe('the two kinds of channel', () => {
  real(title('a device takes no deployment from its own channel: values.only'), async () => {
    const artifact = await fetchArtifact(plant.registry, OWN);
    const [first] = artifact.state.deployments;
    const mediaType = 'application/vnd.holdfast.deployment.v1+yaml';
    const forged = changed(artifact.state, {
      sequence: artifact.state.sequence + 10n,
      deployments: first ? [{ ...first, mediaType }] : [],
    });
    const envelope = signState(forged, [channelKey(plant, 'device')]);
    await pushEnvelope(plant.registry, OWN, { artifact, envelope });
    await device.command(['apply']);
    expect((await channelOf(OWN))?.refused?.code).toBe('values.only');
  });

  real(title('and no values from any other: values.elsewhere'), async () => {
    const artifact = await fetchArtifact(plant.registry, 'canary');
    const mediaType = 'application/vnd.holdfast.values.v1+yaml';
    const forged = changed(artifact.state, {
      sequence: artifact.state.sequence + 10n,
      deployments: artifact.state.deployments.map((one) => ({ ...one, mediaType })),
    });
    const envelope = signState(forged, [channelKey(plant, 'canary')]);
    await pushEnvelope(plant.registry, 'canary', { artifact, envelope });
    const pids = [...programsOf(device.stateDir)].sort();
    expect((await device.command(['apply'])).err).toContain('values.elsewhere');
    expect([...programsOf(device.stateDir)].sort()).toEqual(pids);
  });
});

describe('another device', () => {
  real(title('neither takes the values nor opens them under its own name'), async () => {
    const other = plant.device('press-8');
    await other.start();
    await other.linked();
    const box = readFileSync(join(plant.fleetFolder, 'channels', OWN, 'values.yaml'), 'utf8');
    mkdirSync(join(plant.fleetFolder, 'channels/device.press-8'), { recursive: true });
    plant.write('device.press-8', 'values.yaml', box);
    await plant.publish('device.press-8');
    const own = async () =>
      (await other.status()).channels.find(({ channel }) => channel === 'device.press-8');
    await eventually('it is refused', async () => (await own())?.refused);
    expect((await own())?.refused?.code).toBe('values.unopened');
    expect((await own())?.applied).toBeNull();
  });
});
