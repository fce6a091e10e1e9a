/**
 * Completion in the real shells, live from a running agent and a fleet folder, and man pages as the
 * real formatters read them.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { output, run } from '../support/command.ts';
import { type Device, holdfast } from '../support/device.ts';
import { program } from '../support/parts.ts';
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
let folder: string;
let env: Record<string, string>;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-shells-'));
  mkdirSync(join(folder, 'bin'));
  if (missing !== null) return;
  symlinkSync(holdfast, join(folder, 'bin/holdfast'));
  parts = await startParts();
  plant = await makePlant(parts, { channels: ['night-shift', 'stable'] });
  device = plant.device('press-7', { channel: 'stable', settings: { mqtt: undefined } });
  plant.write('stable', 'conf', 'one\n');
  const target = join(device.opt, 'conf');
  plant.deploy('stable', 'turbine-conf', filesSpec({ conf: { blob: 'conf', target } }));
  const { point } = await plant.publish('stable');
  await device.start();
  await device.applied(point);
  env = {
    PATH: `${join(folder, 'bin')}:${process.env.PATH ?? ''}`,
    HOLDFAST_RUN_DIR: device.runDir,
    HOLDFAST_FLEET: plant.fleetFolder,
    HOME: folder,
  };
});
afterAll(async () => {
  await plant?.remove();
  await parts?.remove();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

/** what is typed, the last word unfinished; what has to be offered; what must not */
const ROWS = [
  [['sta'], 'status', 'stop'],
  [['status', '--run'], '--run-dir', '--output'],
  [['logs', 'tur'], 'turbine-conf', 'status'],
  [['get', 'dep'], 'deployment', 'device'],
  [['describe', 'deployment', ''], 'turbine-conf', 'channel'],
  [['publish', 'ni'], 'night-shift', 'stable'],
  [['wait', '--for', 'rec'], 'recovered', 'idle'],
] as const;

type Shell = (words: readonly string[]) => Promise<readonly string[]>;

const quoted = (words: readonly string[]) => words.map((word) => `'${word}'`).join(' ');

const SHELLS: readonly (readonly [name: string, ask: Shell])[] = [
  [
    'bash',
    async (words) => {
      const script = `eval "$(holdfast completion bash)"; COMP_WORDS=(holdfast ${quoted(words)}); COMP_CWORD=${words.length}; _holdfast; printf '%s\\n' "\${COMPREPLY[@]}"`;
      return (await output(['bash', '--norc', '-c', script], { env })).split('\n');
    },
  ],
  [
    'zsh',
    async (words) => {
      // As compsys calls it, with what it would show printed instead.
      const shown = `compdef() { :; }; _describe() { print -l -- \${(P)2%%:*}; }; _files() { print -l files; }`;
      const script = `${shown}; eval "$(holdfast completion zsh)"; words=(holdfast ${quoted(words)}); CURRENT=${words.length + 1}; _holdfast`;
      return (await output(['zsh', '-f', '-c', script], { env })).split('\n');
    },
  ],
  [
    'fish',
    async (words) => {
      const line = ['holdfast', ...words].join(' ');
      const script = `holdfast completion fish | source; complete -C '${line}'`;
      const told = await output(['fish', '--no-config', '-c', script], { env });
      return told.split('\n').map((one) => one.split('\t', 1)[0] ?? '');
    },
  ],
];

for (const [name, ask] of SHELLS) {
  const lacking = missing ?? (program(name) === null ? `no ${name}` : null);
  const shell = lacking === null ? test : test.skip;
  describe(`in ${name}`, () => {
    for (const [words, offered, not] of ROWS) {
      const what = `holdfast ${words.join(' ')} offers ${offered}`;
      shell(lacking === null ? what : `${what} (${lacking})`, async () => {
        const found = await ask(words);
        expect(found).toContain(offered);
        expect(found).not.toContain(not);
      });
    }
  });
}

describe('what completion asks', () => {
  real(
    title('offers files where a file is wanted, nothing without an agent, and never fails'),
    async () => {
      const complete = (...words: readonly string[]) =>
        run([holdfast, 'complete', '--', ...words], {
          env: { ...env, HOLDFAST_RUN_DIR: '/nowhere' },
        });
      expect((await complete('apply', '')).out).toBe(':files\n');
      expect((await complete('doctor', '--config', '')).out).toBe(':files\n');
      expect(await complete('logs', '')).toMatchObject({ code: 0, out: '', err: '' });
      expect((await complete('wait', '--for', '=', 'id')).out).toBe('idle\n');
      expect((await complete('status', '--output=js')).out).toBe('--output=json\n');
      expect(await complete('no-such-command', '--x', '')).toMatchObject({ code: 0, err: '' });
      expect((await complete('')).out).not.toContain('complete\t');
    },
  );
});

describe('man pages', () => {
  const pages = () => join(folder, 'man1');

  real(title('there is one of each command, with each of its options'), async () => {
    await output([holdfast, 'man', '--dir', pages()]);
    const names = readdirSync(pages());
    expect(names).toContain('holdfast.1');
    expect(names).toContain('holdfast-status.1');
    const help = await output([holdfast, 'status', '--help']);
    const page = (await output([holdfast, 'man', 'status'])).replaceAll('\\-', '-');
    for (const [flag] of help.matchAll(/--[a-z-]+/g)) expect(page).toContain(flag);
    const lost = await run([holdfast, 'man', 'no-such']);
    expect(lost.code).toBe(2);
    expect(lost.err).toContain('config.no-page');
  });

  for (const [formatter, command] of [
    ['mandoc', (file: string) => ['mandoc', '-T', 'lint', '-W', 'warning', file]],
    ['groff', (file: string) => ['groff', '-man', '-ww', '-Tutf8', '-z', file]],
  ] as const) {
    const lacking = missing ?? (program(formatter) === null ? `no ${formatter}` : null);
    const formatted = lacking === null ? test : test.skip;
    const what = `${formatter} has nothing to complain about`;
    formatted(lacking === null ? what : `${what} (${lacking})`, async () => {
      await output([holdfast, 'man', '--dir', pages()]);
      for (const name of readdirSync(pages())) {
        const told = await run(command(join(pages(), name)));
        expect(`${name} ${told.out}${told.err}`).toBe(`${name} `);
      }
    });
  }

  const man = missing === null && program('man') !== null ? test : test.skip;
  man(title('man shows a page'), async () => {
    const file = join(folder, 'status.1');
    writeFileSync(file, await output([holdfast, 'man', 'status']));
    const shown = await output(['man', '-l', file], {
      env: { ...env, MANPAGER: 'cat', TERM: 'dumb' },
    });
    expect(shown).toMatch(/holdfast-status - what is desired/);
    expect(shown).toMatch(/EXIT STATUS/);
  });
});
