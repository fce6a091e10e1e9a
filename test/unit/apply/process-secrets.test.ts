/** Values at the start of a program: where they stand, whose they are, and when they go away. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { type ProcessRuntime, processRuntime } from '#apply/runtimes/process.ts';
import { NO_SECRETS, type Secrets } from '#apply/secrets.ts';
import { ok, refuse } from '#errors/fault.ts';
import type { ParameterTarget } from '#state/deployment.ts';
import { sha256 } from '#state/digest.ts';
import type { Generation } from '#state/generation.ts';
import { program, type RuntimeWorld, runtimeWorld } from '../../contract/runtime-world.ts';
import { eventually } from '../../support/eventually.ts';
import { isRoot } from '../../support/parts.ts';
import { codeOf, value } from '../../support/store.ts';

const REF = { statement: sha256(Buffer.from('statement')), name: 'pin', tag: 'ab' };

let world: RuntimeWorld;
let runDir: string;
let text: string;
let runtimes: ProcessRuntime[];

beforeEach(() => {
  world = runtimeWorld();
  runDir = mkdtempSync('/dev/shm/holdfast-secrets-');
  text = 'hunter2';
  runtimes = [];
});
afterEach(async () => {
  for (const runtime of runtimes) runtime.release();
  value(await processRuntime({ ...world.options, runDir }).stopAll());
  world.end();
  rmSync(runDir, { recursive: true, force: true });
});

const secrets: Secrets = {
  open: ({ name }) =>
    text === '' ? refuse('values.unopened', { name, channel: 'c', reason: 'r' }) : ok(text),
};

function runtime(options: Partial<typeof world.options> = {}): ProcessRuntime {
  for (const before of runtimes) before.release();
  const made = processRuntime({ ...world.options, runDir, secrets, ...options });
  runtimes.push(made);
  return made;
}

function generation(targets: readonly ParameterTarget[], more = {}): Generation {
  const made = world.generation(
    'pager',
    { 'bin/pager': '#!/bin/sh\nenv; exec sleep 1000\n' },
    {
      profile: { kind: 'process', components: [program('bin/pager', more)] },
      parameters: [{ name: 'p', value: { kind: 'device-value', name: 'pin' }, targets }],
    },
  );
  return { ...made, secrets: new Map([['p', REF]]) };
}

const IN_FILE = [{ pointer: 'PIN_FILE', components: ['server'], as: 'file' }] as const;
const IN_ENV = [{ pointer: 'PIN', components: ['server'] }] as const;
const file = () => `${runDir}/secrets/pager/server/PIN_FILE`;
const output = () => {
  const path = `${world.stateDir}/logs/pager.server.log`;
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
};

describe('a sealed value', () => {
  test('as a file is the program’s own, on tmpfs, and its variable says where', async () => {
    value(await runtime().activate(generation(IN_FILE), null));
    await eventually('its output', () => output().includes(`PIN_FILE=${file()}\n`));
    expect(readFileSync(file(), 'utf8')).toBe('hunter2');
    expect(statSync(file()).mode & 0o777).toBe(0o600);
    expect(readdirSync(`${runDir}/secrets/pager/server`)).toEqual(['PIN_FILE']);
    expect(output()).not.toContain('hunter2');
  });

  test.if(isRoot)('as a file belongs to the user of the program', async () => {
    value(await runtime().activate(generation(IN_FILE, { user: 'nobody' }), null));
    const { uid } = statSync(file());
    expect(uid).toBe(value(world.processes.user('nobody', null)).uid);
    expect(statSync(`${runDir}/secrets/pager`).mode & 0o777).toBe(0o711);
  });

  test('as a file goes away with the deployment, and with the need for it', async () => {
    const first = generation(IN_FILE);
    const made = runtime();
    value(await made.activate(first, null));
    const next = { ...generation(IN_ENV), digest: sha256(Buffer.from('next')) };
    value(await made.activate(next, first));
    expect(existsSync(file())).toBe(false);
    value(await made.activate(first, next));
    expect(existsSync(file())).toBe(true);
    value(await made.deactivate(first));
    expect(existsSync(`${runDir}/secrets/pager`)).toBe(false);
  });

  test('as a file is refused where it would reach a disk: values.not-volatile', async () => {
    const onDisk = runtime({ runDir: world.runDir });
    expect(codeOf(await onDisk.prepare(generation(IN_FILE)))).toBe('values.not-volatile');
    value(await onDisk.prepare(generation(IN_ENV)));
  });

  test('that does not open is refused before anything is accepted', async () => {
    text = '';
    expect(codeOf(await runtime().prepare(generation(IN_ENV)))).toBe('values.unopened');
    const without = runtime({ secrets: NO_SECRETS });
    expect(codeOf(await without.prepare(generation(IN_ENV)))).toBe('values.unopened');
  });

  test('leaves what runs alone when it cannot be opened any more', async () => {
    const running = generation(IN_ENV);
    value(await runtime().activate(running, null));
    await eventually('its output', () => output().includes('PIN=hunter2\n'));
    text = '';
    const next = runtime();
    value(await next.activate(running, running));
    expect(next.condition(running).running).toBe('yes');
  });

  test('is in no file below stateDir', async () => {
    value(await runtime().activate(generation([...IN_FILE, ...IN_ENV]), null));
    await eventually('its output', () => output().includes('PIN_FILE='));
    const found = readdirSync(world.stateDir, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.name.endsWith('.log'))
      .filter((entry) => readFileSync(`${entry.parentPath}/${entry.name}`).includes('hunter2'));
    expect(found).toEqual([]);
  });
});
