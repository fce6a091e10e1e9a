/** The terminal, seen from the other side of a PTY, and from pipes. */
import { afterAll, describe, expect, test } from 'bun:test';
import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

// Beside package.json: the #imports of the source are resolved from there.
const script = join(import.meta.dir, `../../../.terminal-${process.pid}.ts`);
writeFileSync(
  script,
  `import { systemTerminal } from '#platform/node/terminal.ts';
  const terminal = systemTerminal(process.env);
  const { interactive, colour, columns } = terminal;
  terminal.out(JSON.stringify({ interactive, colour, columns }) + '\\n');
  const name = await terminal.ask('name? ');
  const secret = await terminal.askSecret('secret? ');
  terminal.out('got ' + JSON.stringify([name, secret]) + '\\n');`,
);
afterAll(() => rmSync(script));

/** Types each answer when its question has appeared; all that the screen showed. */
async function session(answers: Readonly<Record<string, string>>, env: Record<string, string>) {
  let screen = '';
  const waiting = new Map(Object.entries(answers));
  const child = Bun.spawn([process.execPath, script], {
    env: { PATH: process.env.PATH ?? '', TERM: 'xterm', ...env },
    terminal: {
      cols: 100,
      rows: 24,
      data(terminal, data) {
        screen += new TextDecoder().decode(data);
        for (const [question, answer] of waiting) {
          if (!screen.includes(question)) continue;
          waiting.delete(question);
          terminal.write(answer);
        }
      },
    },
  });
  await child.exited;
  child.terminal?.close();
  return screen;
}

describe('on a terminal', () => {
  test('asks with echo, and for secrets without', async () => {
    const screen = await session({ 'name? ': 'plant\r', 'secret? ': 'hidxx\u007f\u007fden\r' }, {});
    expect(screen).toContain('{"interactive":true,"colour":true,"columns":100}');
    expect(screen).toContain('got ["plant","hidden"]');
    expect(screen.split('got')[0]).not.toContain('hid');
  });

  test('^C at a secret gives null', async () => {
    const screen = await session({ 'name? ': 'plant\r', 'secret? ': 'half\u0003' }, {});
    expect(screen).toContain('got ["plant",null]');
  });

  test('NO_COLOR and TERM=dumb end colours', async () => {
    for (const env of [{ NO_COLOR: '1' }, { TERM: 'dumb' }]) {
      expect(await session({ 'name? ': 'a\r', 'secret? ': 'b\r' }, env)).toContain(
        '"colour":false',
      );
    }
  });
});

describe('in a pipe', () => {
  test('nobody is asked, nothing is coloured', () => {
    const run = spawnSync(process.execPath, [script], {
      input: 'plant\nsecret\n',
      encoding: 'utf8',
    });
    expect(run.stdout).toBe('{"interactive":false,"colour":false,"columns":80}\ngot [null,null]\n');
  });

  test('a reader that goes away ends the output, not the command', () => {
    const command = `"${process.execPath}" "${script}" | head -c 5; echo "\${PIPESTATUS[0]}"`;
    const run = spawnSync('bash', ['-c', command], { input: '', encoding: 'utf8' });
    expect(run.stdout).toBe('{"int0\n');
  });
});
