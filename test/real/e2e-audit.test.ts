/**
 * The audit journal of the compiled executable: what operators and statements leave in it, that its
 * head is what the device signs, that an export proves a change without device and fleet folder,
 * after a rollback too, and that no flipped byte of it goes unseen.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { VerifiedView } from '#agent/audit-view.ts';
import type { AuditEntryView } from '#control/api.ts';
import { type Ended, run } from '../support/command.ts';
import { type Device, holdfast, treeOf } from '../support/device.ts';
import {
  filesSpec,
  makePlant,
  missing,
  type Parts,
  type Plant,
  startParts,
} from '../support/plant.ts';

const real = missing === null ? test : test.skip;
const title = (what: string) => (missing === null ? what : `${what} (${missing})`);

let parts: Parts;
let plant: Plant;
let device: Device;
const points: string[] = [];

const json = <T>(ended: Ended): T => JSON.parse(ended.out) as T;
const fileOf = (name: string) => join(device.folder, name);
const entries = async (): Promise<readonly AuditEntryView[]> =>
  json(await device.command(['audit', '-n', '500', '-o', 'json']));
const verify = (...args: readonly string[]) =>
  run([holdfast, 'audit', 'verify', ...args, '-o', 'json']);

async function publish(version: string): Promise<void> {
  plant.write('canary', 'conf', `version=${version}\n`);
  const target = join(device.opt, 'conf');
  plant.deploy('canary', 'conf', filesSpec({ conf: { blob: 'conf', target } }));
  const { point } = await plant.publish('canary');
  points.push(point);
  await device.applied(point);
}

beforeAll(async () => {
  if (missing !== null) return;
  parts = await startParts();
  plant = await makePlant(parts);
  device = plant.device('press-9');
  await device.start();
  await publish('one');
  await publish('two');
}, 60_000);
afterAll(async () => {
  await plant?.remove();
  await parts?.remove();
});

describe('the journal', () => {
  real(title('tells each acceptance and application once, in order, with its point'), async () => {
    const told = (await entries()).toReversed().filter(({ point }) => point !== null);
    expect(told.map(({ kind, point }) => `${kind} ${point}`)).toEqual(
      points.flatMap((point) => [`accepted ${point}`, `applied ${point}`]),
    );
  });

  real(title('tells what an operator did; a look by hand without news is none'), async () => {
    const before = (await entries()).length;
    await device.command(['pause', '--reason', 'belt change']);
    await device.command(['resume']);
    expect(await device.command(['apply'])).toMatchObject({ code: 0, err: '' });
    const told = (await entries()).slice(0, -before).toReversed();
    expect(told.map(({ kind, actor }) => `${kind} by ${actor}`)).toEqual([
      'paused by operator',
      'resumed by operator',
    ]);
    expect(told[0]?.message).toBe('belt change');
  });

  real(title('has the head that the device signs'), async () => {
    const asked = json<VerifiedView>(await device.command(['audit', 'verify', '-o', 'json']));
    const { auditHead } = await device.reports('the head of the journal', (report) => {
      return report.auditHead === asked.head;
    });
    const attested = await device.command(['audit', 'verify', '--head', auditHead, '-o', 'json']);
    expect(json<VerifiedView>(attested).attestedTo).toBe(`${asked.entries}`);
  });

  real(title('another head is refused with code and remedy'), async () => {
    const ended = await device.command(['audit', 'verify', '--head', 'ab'.repeat(32)]);
    expect(ended.code).toBe(3);
    expect(ended.err).toContain('trust.audit-mismatch');
  });
});

describe('an export', () => {
  const exported = () => fileOf('change.audit');

  real(title('proves a change without device and fleet folder'), async () => {
    const [first = ''] = points;
    const wrote = await device.command(['audit', 'export', '--change', first, '-f', exported()]);
    expect(wrote.code).toBe(0);
    const verified = await verify(exported(), '--root', plant.root);
    expect(verified.code).toBe(0);
    const { change, device: name } = json<VerifiedView>(verified);
    expect(name).toBe('press-9');
    expect(change).toMatchObject({ channel: 'canary', point: first, root: { given: true } });
    expect(change?.outcome.map(({ kind }) => kind)).toEqual(['applied']);
    expect(change?.checks.every(({ passed }) => passed)).toBe(true);
    expect(change?.steps).toHaveLength(1);
  });

  real(title('with any byte flipped is refused, or says the same of the change'), async () => {
    const bytes = readFileSync(exported());
    const sound = json<VerifiedView>(await verify(exported(), '--root', plant.root));
    const tries = 24;
    for (let round = 0; round < tries; round += 1) {
      const at = Math.floor(((round + 0.5) / tries) * bytes.length);
      const flipped = Buffer.from(bytes);
      flipped[at] = (flipped[at] ?? 0) ^ 1;
      writeFileSync(fileOf('flipped.audit'), flipped);
      const ended = await verify(fileOf('flipped.audit'), '--root', plant.root);
      if (ended.code === 0) expect(json<VerifiedView>(ended).change).toEqual(sound.change);
      else expect(ended.code).toBe(3);
    }
  });

  real(title('of a change that was rolled back still has its evidence'), async () => {
    expect((await device.command(['rollback', '-o', 'json'])).code).toBe(0);
    const [, second = ''] = points;
    const number = second.split('.')[1] ?? '';
    const wrote = await device.command([
      ...['audit', 'export', '--change', number],
      ...['-f', fileOf('second.audit')],
    ]);
    expect(wrote.code).toBe(0);
    const { change } = json<VerifiedView>(await verify(fileOf('second.audit')));
    expect(change).toMatchObject({ point: second, root: { given: false } });
    const kinds = (await entries()).map(({ kind }) => kind).slice(0, 3);
    expect(kinds).toEqual(['rolled-back', 'rollback', 'rollback-asked']);
  });

  real(title('of a change that never was: agent.no-evidence, and no file'), async () => {
    const ended = await device.command(['audit', 'export', '--change', '99', '-f', fileOf('no')]);
    expect(ended.code).not.toBe(0);
    expect(ended.err).toContain('agent.no-evidence');
  });
});

describe('a device whose agent does not run', () => {
  real(title('is verified from its state directory, and nothing in it changes'), async () => {
    const locked = await verify('--state-dir', device.stateDir);
    expect(locked.err).toContain('store.locked');
    const { head, entries: count } = json<VerifiedView>(
      await device.command(['audit', 'verify', '-o', 'json']),
    );
    await device.stop();
    const before = treeOf(device.stateDir);
    const ended = await verify('--state-dir', device.stateDir);
    expect(json<VerifiedView>(ended)).toMatchObject({ head, entries: count, device: null });
    const lockFile = ([path]: [string, string]) => !path.endsWith('-lock');
    const without = (tree: Record<string, string>) => Object.entries(tree).filter(lockFile);
    expect(without(treeOf(device.stateDir))).toEqual(without(before));
  });
});
