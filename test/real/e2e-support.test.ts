/**
 * `holdfast doctor --bundle`: one file for those who help. Secrets are planted everywhere they could
 * stand, and the file is searched for all of them.
 */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { output, run } from '../support/command.ts';
import { type Device, holdfast } from '../support/device.ts';
import { eventually } from '../support/eventually.ts';
import {
  makePlant,
  missing,
  type Parts,
  type Plant,
  processSpec,
  startParts,
} from '../support/plant.ts';

const real = missing === null ? test : test.skip;
const title = (what: string) => (missing === null ? what : `${what} (${missing})`);

const PLANTED = {
  password: 'Tungsten-Pass-11',
  token: 'Tungsten-Token-22',
  proxy: 'Tungsten-Proxy-33',
  variable: 'Tungsten-Env-44',
  logged: 'Tungsten-Logged-55',
  bearer: 'TungstenBearer66',
  key: 'VHVuZ3N0ZW5LZXlUaGF0Tm9ib2R5TWF5U2VlNzc3Nzc3Nzc3Nzc3Nw',
};

let parts: Parts;
let plant: Plant;
let device: Device;
const at = (name: string) => join(plant.folder, name);
function secret(name: string, text: string): string {
  writeFileSync(at(name), `${text}\n`);
  chmodSync(at(name), 0o600);
  return at(name);
}

beforeAll(async () => {
  if (missing !== null) return;
  parts = await startParts();
  plant = await makePlant(parts);
  const pem = `-----BEGIN PRIVATE KEY-----\n${PLANTED.key}\n-----END PRIVATE KEY-----`;
  const account = {
    usernameFile: secret('user', 'plc'),
    passwordFile: secret('password', PLANTED.password),
  };
  device = plant.device('press-7', {
    settings: {
      mqtt: { url: plant.mqtt, auth: account },
      registries: [
        { url: plant.registry },
        {
          url: 'https://registry.invalid/plant/state',
          auth: { tokenFile: secret('token', PLANTED.token) },
          proxy: `http://plc:${PLANTED.proxy}@127.0.0.1:1`,
          tls: { cert: secret('cert', 'none'), key: secret('key', pem) },
        },
      ],
    },
  });
  const lines = [
    `password=${PLANTED.logged}`,
    `the broker took ${PLANTED.password}`,
    `Authorization: Bearer ${PLANTED.bearer}`,
    `Basic ${Buffer.from(`plc:${PLANTED.password}`).toString('base64')}`,
    `key ${PLANTED.key}`,
    'turbine is running',
  ];
  const program = `#!/bin/sh\n${lines.map((line) => `echo '${line}'`).join('\n')}\nexec sleep 600\n`;
  plant.write('canary', 'run.sh', program, 0o755);
  plant.deploy('canary', 'run', processSpec({ blob: 'run.sh' }));
  const { point } = await plant.publish('canary');
  await device.start();
  await device.applied(point);
  await eventually('the program has printed', async () =>
    (await device.command(['logs', 'run'])).out.includes('turbine is running'),
  );
});
afterAll(async () => {
  await plant?.remove();
  await parts?.remove();
});

async function unpacked(file: string, folder: string): Promise<string> {
  await output(['mkdir', folder]);
  await output(['tar', '-xzf', file, '-C', folder]);
  return output(['find', folder, '-type', 'f', '-exec', 'cat', '{}', '+']);
}

real(title('N13: the file holds what helps and none of the secrets, in no spelling'), async () => {
  const file = at('support.tar.gz');
  const env = { PLC_DB_PASSWORD: PLANTED.variable };
  const args = ['doctor', '--config', device.configFile, '--bundle', file];
  const ended = await run([holdfast, ...args], { env });
  expect(ended.code).toBe(0);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const text = await unpacked(file, at('unpacked'));
  for (const [name, planted] of Object.entries(PLANTED)) {
    const bytes = Buffer.from(planted);
    for (const form of [planted, bytes.toString('base64').slice(0, -4), bytes.toString('hex')])
      expect(`${name} ${text.includes(form)}`).toBe(`${name} false`);
  }
  expect(text).not.toContain(
    Buffer.from(`plc:${PLANTED.password}`).toString('base64').slice(0, 20),
  );
  const names = readdirSync(join(at('unpacked'), 'holdfast-support')).sort();
  for (const name of [
    ...['agent.yaml', 'audit.yaml', 'contents.yaml', 'doctor.yaml', 'environment.txt'],
    ...['events.yaml', 'explain.yaml', 'history.yaml', 'status.yaml', 'store.txt', 'version.yaml'],
  ])
    expect(names).toContain(name);
  expect(text).toMatch(/turbine is running/);
  expect(text).toContain('PLC_DB_PASSWORD');
  expect(text).toContain('point: "1.1"');
  for (const name of ['agent.yaml', 'status.yaml', 'logs/run__main.log']) {
    const listed = name.startsWith('logs/') ? /logs\/run\S*\.log/ : name;
    expect(ended.out).toMatch(listed);
  }
  expect(ended.out).toMatch(/\d+ places were redacted/);
  const log = readdirSync(join(at('unpacked'), 'holdfast-support/logs'));
  expect(log.some((name) => name.startsWith('run'))).toBe(true);
});

real(title('a file that is there stays; without an agent it says what is missing'), async () => {
  const file = at('kept');
  writeFileSync(file, 'mine');
  const args = ['doctor', '--config', device.configFile, '--bundle'];
  const refused = await run([holdfast, ...args, file]);
  expect(refused.code).toBe(2);
  expect(refused.err).toContain('platform.exists');
  expect(readFileSync(file, 'utf8')).toBe('mine');
  await device.stop();
  const other = at('without.tar.gz');
  const made = await run([holdfast, ...args, other, '-o', 'json']);
  const view = JSON.parse(made.out) as {
    readonly entries: readonly { readonly name: string; readonly missing: string }[];
  };
  const status = view.entries.find(({ name }) => name === 'status.yaml');
  expect(status?.missing).toContain('no agent answers');
  expect(view.entries.find(({ name }) => name === 'doctor.yaml')?.missing).toBe('');
});
