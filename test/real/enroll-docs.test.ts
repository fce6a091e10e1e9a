/** docs/enroll.md, run: every command of it, in its order, on one hub and two devices. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Ended, endChild, run } from '../support/command.ts';
import { holdfast } from '../support/device.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { executable, ROOT } from '../support/parts.ts';

const real = executable() === null ? test.skip : test;
const folder = mkdtempSync(join(tmpdir(), 'holdfast-enroll-docs-'));
const sections = new Map<string, readonly string[]>();
for (const section of readFileSync(join(ROOT, 'docs/enroll.md'), 'utf8').split(/^## /m)) {
  const blocks = [...section.matchAll(/^```sh\n(.*?)^```$/gms)].map((match) => match[1] ?? '');
  sections.set(section.slice(0, section.indexOf('\n')), blocks);
}
const block = (heading: string, index: number) =>
  sections.get(heading)?.[index] ?? `false # no block ${index} in ${heading}`;
let env: Record<string, string> = {};
let hub: ReturnType<typeof spawn> | null = null;

/** One device's places, as a machine of its own would have them. */
function deviceEnv(name: string): Record<string, string> {
  const own = join(folder, name);
  return {
    ...env,
    HOLDFAST_CONFIG: join(own, 'agent.yaml'),
    HOLDFAST_STATE_DIR: join(own, 'state'),
    HOLDFAST_RUN_DIR: join(own, 'run'),
  };
}

async function sh(script: string, more: Record<string, string> = env): Promise<Ended> {
  const ended = await run(['sh', '-eu', '-c', script], { cwd: folder, env: more });
  if (ended.code !== 0) throw new Error(`${script}ended with ${ended.code}\n${ended.err}`);
  return ended;
}

beforeAll(async () => {
  if (executable() === null) return;
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  symlinkSync(holdfast, join(bin, 'holdfast'));
  const [registry, mqtt] = [await freePort(), await freePort()];
  env = {
    PATH: `${bin}:${process.env.PATH ?? ''}`,
    HOST: '127.0.0.1',
    HUB: `https://127.0.0.1:${registry}`,
    HOLDFAST_HUB_REGISTRY_PORT: String(registry),
    HOLDFAST_HUB_MQTT_PORT: String(mqtt),
  };
  await sh('holdfast init plant --no-passphrase --no-examples --channel stable');
});
afterAll(async () => {
  if (hub) await endChild(hub, 'SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

real(
  'every command of docs/enroll.md does what the page says',
  async () => {
    // The shell becomes the hub, so that the test can end it.
    const command = `exec ${block('The hub', 0).replace(/ &\n$/, '')}`;
    hub = spawn('sh', ['-eu', '-c', command], {
      cwd: folder,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    hub.stdout?.on('data', (text) => {
      said += text;
    });
    await eventually('the hub listens', async () => said.includes('mqtts://'));
    env.AUTHORITY = /^authority (\S+)$/m.exec(said)?.[1] ?? '';
    const root = readFileSync(join(folder, 'plant/root/1.root.json'));
    env.ROOT_DIGEST = createHash('sha256').update(root).digest('hex');
    expect((await sh(block('The hub', 1))).out).toContain('passwordFile');
    await sh(block('By a token', 0));
    const enrolled = await sh(block('By a token', 1), deviceEnv('press-7'));
    expect(enrolled.out).toContain('press-7 is enrolled');

    const waiting = sh(block('By approval', 0), deviceEnv('press-8'));
    await eventually('press-8 waits', async () =>
      (await sh('holdfast hub enroll list --data hub')).out.includes('press-8'),
    );
    expect((await sh(block('By approval', 1))).out).toContain('press-8 is approved');
    expect((await waiting).out).toContain('press-8 is enrolled');
    expect((await sh(block('Taking a credential away', 0))).out).toContain('press-7 is revoked');
    const alone = await run(['holdfast', 'agent', '--once'], { env: deviceEnv('press-7') });
    expect([alone.code, alone.err.includes('link.unauthorized')]).toEqual([4, true]);
  },
  60_000,
);
