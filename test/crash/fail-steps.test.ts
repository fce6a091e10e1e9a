/**
 * A step that fails in the world: for every step k of n, over both runtimes on real disk and with
 * real programs, everything is back as it was, byte for byte, and no status ever called the failed
 * state applied. The device is a brown field: what Holdfast did not put there comes back at the end.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { endChild } from '../support/command.ts';
import { type Device, programsOf, treeOf } from '../support/device.ts';
import { eventually } from '../support/eventually.ts';
import { appendOnly, noAppendOnly } from '../support/mounts.ts';
import {
  filesSpec,
  linesOf,
  makePlant,
  missing,
  type Parts,
  type Plant,
  processSpec,
  startParts,
} from '../support/plant.ts';

const CHANNEL = 'canary';
/** n: files, program, tree, program, files; each needs the one before */
const STEPS = [1, 2, 3, 4, 5] as const;
type Step = (typeof STEPS)[number];
const isProgram = (step: Step) => step % 2 === 0;

const real = missing === null ? test : test.skip;
const title = (what: string) => (missing === null ? what : `${what} (${missing})`);

/** What makes one step of a state fail. */
interface Failure {
  readonly name: string;
  readonly of: 'files' | 'process';
  readonly code: string;
  /** changed keys of the step's spec */
  readonly spec?: (step: Step) => Readonly<Record<string, unknown>>;
  /** changes the world, and gives how it is put right again */
  readonly world?: (step: Step) => Promise<() => Promise<void>>;
  readonly skip?: string | null;
}

const hook = (command: readonly string[]) => () => ({
  hooks: { reload: { command, timeout: '300ms' } },
});
const program =
  (...command: readonly string[]) =>
  () => ({ command });

const FAILURES: readonly Failure[] = [
  { name: 'hook fails', of: 'files', code: 'apply.reload-failed', spec: hook(['/bin/false']) },
  { name: 'hook is missing', of: 'files', code: 'platform.exec', spec: hook(['/nonexistent']) },
  {
    name: 'hook hangs',
    of: 'files',
    code: 'apply.reload-failed',
    spec: hook(['/bin/sleep', '1000']),
  },
  {
    name: 'directory takes no rename',
    of: 'files',
    code: 'platform.denied',
    skip: noAppendOnly,
    world(step) {
      appendOnly(placeOf(step), true);
      return Promise.resolve(() => Promise.resolve(appendOnly(placeOf(step), false)));
    },
  },
  {
    name: 'program is missing',
    of: 'process',
    code: 'platform.exec',
    spec: program('/nonexistent'),
  },
  {
    name: 'program ends at once',
    of: 'process',
    code: 'apply.health-failed',
    spec: program('/bin/false'),
  },
  {
    name: 'program hangs',
    of: 'process',
    code: 'apply.health-failed',
    spec: () => ({ health: answers('200ms') }),
  },
  {
    name: 'port is in use',
    of: 'process',
    code: 'apply.health-failed',
    spec: () => ({ command: [process.execPath, '-e', LISTENS] }),
    world: async () => {
      const holder = await held();
      return () => new Promise((resolve) => void holder.close(() => resolve()));
    },
  },
];

let parts: Parts;
let plant: Plant;
let device: Device;
let bystander: ChildProcess;
let port = 0;
let version = 0;

/** ends with an error where it cannot have its port */
const LISTENS = 'Bun.serve({ port: Number(process.env.PORT), fetch: () => new Response() })';

function answers(timeout: string) {
  const http = { url: `http://127.0.0.1:${port}/` };
  return [{ name: 'answers', http, interval: '100ms', timeout, retries: 2 }];
}

/** Takes the port, and answers nothing. */
function held(): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      if (typeof address === 'object' && address) port = address.port;
      resolve(server);
    });
  });
}

const placeOf = (step: Step) => join(device.opt, `line-${step}`);

/** All five steps differ from every other version. */
function write(name: string, broken: { step: Step; failure: Failure } | null): void {
  for (const step of STEPS) {
    const dependsOn = step === 1 ? [] : [`s${step - 1}`];
    const changed = broken?.step === step ? (broken.failure.spec?.(step) ?? {}) : {};
    const { command, ...more } = changed as { command?: readonly string[] };
    plant.write(CHANNEL, `${step}/file.conf`, `${step} of ${name}\n`);
    plant.write(CHANNEL, `${step}/tree/deep/data`, `data ${step} of ${name}\n`);
    plant.write(CHANNEL, `${step}/run`, programText(step, name), 0o755);
    const specOf = isProgram(step) ? programSpec : step === 3 ? treeSpec : fileSpec;
    plant.deploy(CHANNEL, `s${step}`, specOf(step, { dependsOn, ...more }, command));
  }
}

type More = Readonly<Record<string, unknown>>;

function fileSpec(step: Step, more: More): unknown {
  const target = `${placeOf(step)}/file.conf`;
  return filesSpec({ file: { blob: `${step}/file.conf`, target } }, more);
}

function treeSpec(step: Step, more: More): unknown {
  const target = `${placeOf(step)}/tree`;
  return filesSpec({ tree: { blob: `${step}/tree`, target, adopt: true } }, more);
}

function programSpec(step: Step, more: More, command?: readonly string[]): unknown {
  const properties = { blob: `${step}/run`, env: { PORT: String(port) }, aliveFor: '150ms' };
  return processSpec(command ? { ...properties, command } : properties, more);
}

const journal = () => join(device.folder, 'journal');

function programText(step: Step, name: string): string {
  return `#!/bin/sh
echo "start ${step} ${name}" >> ${journal()}
exec sleep 1000000
`;
}

/** Everything below the targets but what is hidden: what a consumer sees, links followed. */
function seen(): Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const step of STEPS) {
    if (isProgram(step)) continue;
    for (const [path, text] of visible(placeOf(step))) found[`line-${step}/${path}`] = text;
  }
  return found;
}

function visible(folder: string): readonly (readonly [string, string])[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter(({ name }) => !name.startsWith('.'))
    .flatMap(({ name }): readonly (readonly [string, string])[] => {
      const path = join(folder, name);
      try {
        return [[name, readFileSync(path, 'utf8')]];
      } catch {
        return visible(path).map(([below, text]) => [`${name}/${below}`, text] as const);
      }
    })
    .sort(([left], [right]) => (left < right ? -1 : 1));
}

/** step → the version whose program runs; more than one is listed as such */
function running(): Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const pid of programsOf(device.stateDir)) {
    const environ = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
    const token = environ.find((entry) => entry.startsWith('HOLDFAST_INSTANCE=')) ?? '';
    const id = token.split('/')[1] ?? '?';
    found[id] = found[id] ? `${found[id]} and ${token}` : token;
  }
  return found;
}

async function publishes(broken: { step: Step; failure: Failure } | null, ...flags: string[]) {
  version += 1;
  write(`v${version}`, broken);
  return await plant.publish(CHANNEL, ...flags);
}

const BROWN = { 'file.conf': 'mine, from before\n', 'tree/mine': 'a directory from before\n' };

beforeAll(async () => {
  if (missing !== null) return;
  parts = await startParts();
  plant = await makePlant(parts, { channels: [CHANNEL] });
  device = plant.device('press-7', { settings: { log: { level: 'info' } } });
  (await held()).close();
  for (const step of STEPS) mkdirSync(placeOf(step), { recursive: true });
  writeFileSync(join(placeOf(1), 'file.conf'), BROWN['file.conf']);
  mkdirSync(join(placeOf(3), 'tree'));
  writeFileSync(join(placeOf(3), 'tree/mine'), BROWN['tree/mine']);
  bystander = spawn('sleep', ['1000000'], { stdio: 'ignore' });
  await device.start();
}, 60_000);
afterAll(async () => {
  if (bystander) await endChild(bystander, 'SIGKILL');
  await plant?.remove();
  await parts?.remove();
}, 60_000);

describe('a first state whose step k of 5 fails leaves a brown field as it was', () => {
  for (const step of STEPS) {
    const failure = FAILURES.find((each) => (each.of === 'process') === isProgram(step));
    real(title(`step ${step}: ${failure?.name}`), async () => {
      const before = seen();
      const { point } = await publishes(failure ? { step, failure } : null);
      await device.reports(`${point} refused`, (report) => {
        return report.desired === point && report.phase === 'IDLE' && report.refused !== null;
      });
      expect(seen()).toEqual(before);
      expect(running()).toEqual({});
      expect(device.allReports().filter(({ applied }) => applied !== '')).toEqual([]);
    });
  }
});

describe('step k of 5 fails: all five are as before', () => {
  real(title('after a state that is proven'), async () => {
    const { point } = await publishes(null);
    await device.reports(`${point} applied`, ({ applied }) => applied === point);
  });

  for (const step of STEPS) {
    for (const failure of FAILURES) {
      if ((failure.of === 'process') !== isProgram(step)) continue;
      const skipped = failure.skip ?? missing;
      const run = skipped === null ? test : test.skip;
      const what = `step ${step}: ${failure.name}: ${failure.code}`;
      run(skipped === null ? what : `${what} (${skipped})`, () => fails(step, failure));
    }
  }

  real(title('a state after all of them is applied'), async () => {
    const { point } = await publishes(null);
    await device.reports(`${point} applied`, ({ applied }) => applied === point);
    expect(Object.values(seen()).every((text) => text.includes(`of v${version}`))).toBe(true);
  });
});

async function fails(step: Step, failure: Failure): Promise<void> {
  const before = { files: seen(), programs: running() };
  const started = linesOf(journal()).length;
  const repair = await failure.world?.(step);
  try {
    const { point } = await publishes({ step, failure });
    const report = await device.reports(
      `${point} refused`,
      ({ desired, phase, refused }) => desired === point && phase === 'IDLE' && refused !== null,
    );
    expect(report.refused?.code).toBe(failure.code);
    expect({ files: seen(), programs: running() }).toEqual(before);
    expect(device.allReports().filter(({ applied }) => applied === point)).toEqual([]);
    expect(report.degraded).toBe(false);
    // Programs behind the failed step were never asked to go.
    if (failure.code === 'apply.health-failed') return; // all of them ran when it was found
    const touched = linesOf(journal()).slice(started).join('\n');
    for (const later of STEPS) if (later > step) expect(touched).not.toContain(`start ${later} v`);
  } finally {
    await repair?.();
  }
}

describe('rollback', () => {
  real(title('gives the signed bytes, after the old generation was edited by hand'), async () => {
    const old = seen();
    const { point } = await publishes(null);
    await device.reports(`${point} applied`, ({ applied }) => applied === point);
    const generations = [join(placeOf(3), '.holdfast'), join(device.stateDir, 'generations')];
    const edited = generations.flatMap((folder) =>
      Object.entries(treeOf(folder))
        .filter(([path, entry]) => entry.startsWith('file') && /[0-9a-f]{64}/.test(path))
        .map(([path]) => join(folder, path)),
    );
    expect(edited.length).toBeGreaterThan(4);
    const live = new RegExp(`v${version}\\b`);
    for (const path of edited) {
      if (!live.test(readFileSync(path, 'utf8'))) writeFileSync(path, 'edited by hand\n');
    }
    const rolled = await device.command(['rollback']);
    expect({ code: rolled.code, err: rolled.err }).toEqual({ code: 0, err: '' });
    expect(seen()).toEqual(old);
    await eventually('both programs of the old state run', () => {
      return Object.keys(running()).length === 2;
    });
    const report = await device.reports('rolled back', ({ held, applied }) => {
      return held && applied !== point;
    });
    expect(Object.values(report.health).every((health) => health === 'healthy')).toBe(true);
    expect((await device.command(['resume'])).code).toBe(0);
  });
});

describe('removal', () => {
  real(title('gives back the file and the directory that stood there before'), async () => {
    for (const step of [1, 2, 3] as const) plant.unwrite(CHANNEL, `s${step}.yaml`);
    version += 1;
    plant.deploy(CHANNEL, 's4', programSpec(4, {}));
    const { point } = await plant.publish(CHANNEL, '--allow-removal');
    await device.reports(`${point} applied`, ({ applied }) => applied === point);
    const left = seen();
    expect(left['line-1/file.conf']).toBe(BROWN['file.conf']);
    expect(left['line-3/tree/mine']).toBe(BROWN['tree/mine']);
    expect(Object.keys(running())).toEqual(['s4']);
    expect(bystander.exitCode).toBe(null);
  });
});
