/**
 * docs/roots.md, run: every command of it, against a real registry. After each section the
 * fleet is as the page says, judged by a folder that holds only root 1, as a device does.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeCa } from '../support/certificates.ts';
import { output } from '../support/command.ts';
import { type Desk, openDesk } from '../support/desk.ts';
import { dockerRegistry, type RealRegistry, startRegistry } from '../support/docker-registry.ts';
import { program, ROOT } from '../support/parts.ts';

const folder = mkdtempSync(join(tmpdir(), 'holdfast-roots-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const sections = new Map<string, string>();
for (const section of readFileSync(join(ROOT, 'docs/roots.md'), 'utf8').split(/^#{1,2} /m)) {
  const blocks = [...section.matchAll(/^```sh\n(.*?)^```$/gms)].map((match) => match[1] ?? '');
  sections.set(section.slice(0, section.indexOf('\n')), blocks.join(''));
}
const edits = (heading: string) => sections.get(heading) ?? `false # no section ${heading}`;
/** from `root request` on */
const steps = edits('The steps').slice(edits('The steps').indexOf('holdfast root request'));

interface Fleet {
  readonly desk: Desk;
  at(path: string): string;
  /** `holdfast` in this process, by a person who says yes; all other lines by sh */
  shell(script: string): Promise<string>;
  /** what a device with root 1 makes of a channel's head: `stable/1.1 verified` */
  seen(channel: string): Promise<string>;
}

let registry: RealRegistry;
let made = 0;
const desks: Desk[] = [];
afterAll(() => {
  for (const desk of desks) desk.remove();
});

function newDesk(): Desk {
  const passphrase = join(folder, 'passphrase');
  writeFileSync(passphrase, 'of this test\n');
  const desk = openDesk({ HOLDFAST_PASSPHRASE_FILE: passphrase });
  desks.push(desk);
  return desk;
}

async function shellOf(desk: Desk, script: string, env: Record<string, string>): Promise<string> {
  let text = '';
  for (const line of script.split('\n').filter((one) => one !== '')) {
    if (!line.startsWith('holdfast ')) {
      const where = { cwd: desk.folder, env };
      text += await output(['sh', '-eu', '-c', line], where);
      continue;
    }
    const plain = line.replaceAll(/\$(\w+)/g, (_, name: string) => env[name] ?? '');
    const args = [...plain.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare);
    const ran = await desk.run(args.slice(1) as string[], ['y']);
    const fine = ran.code === 0 || (ran.code === 1 && plain.startsWith('holdfast root diff'));
    if (!fine) throw new Error(`${line} ended with ${ran.code}\n${ran.err}${ran.out}`);
    text += ran.out;
  }
  return text;
}

/** Three root keys, two sign; stable is published. */
async function fleet(): Promise<Fleet> {
  made += 1;
  const desk = newDesk();
  const outside = newDesk();
  const usb = join(folder, `usb-${made}`);
  mkdirSync(usb);
  const repository = (name: string) => `http://127.0.0.1:${registry.port}/docs/${name}-${made}`;
  if (program('openssl') !== null) makeCa(usb, 'ca-2027');
  const env = { USB: usb, CA: usb, NEW_REGISTRY: repository('new') };
  const at = (path: string) => join(desk.folder, path);
  const shell = (script: string) => shellOf(desk, script, env);
  const keys = '--root-keys 3 --root-threshold 2 --no-passphrase';
  await shell(`holdfast init . ${keys} --registry ${repository('state')}`);
  await shell('holdfast publish stable');
  for (const key of ['root-1', 'root-2']) {
    cpSync(at(`keys/root/${key}.pem`), join(usb, `${key}.pem`));
  }
  return {
    desk,
    at,
    shell,
    async seen(channel) {
      mkdirSync(join(outside.folder, 'root'), { recursive: true });
      for (const file of ['root/1.root.json', 'fleet.yaml']) {
        cpSync(at(file), join(outside.folder, file));
      }
      const ran = await outside.run(['verify', channel, '--channel', channel, '-o', 'name']);
      return `${ran.out}${ran.err}`.trim();
    },
  };
}

if (dockerRegistry === null) {
  test.skip('docker-registry is not installed: the page was not run', () => undefined);
} else {
  beforeAll(async () => {
    registry = await startRegistry();
  });
  afterAll(() => registry.remove());

  describe('docs/roots.md', () => {
    test('the first lines show roots', async () => {
      const { shell } = await fleet();
      const first = [...sections.keys()].find((heading) => heading.startsWith('Roots:')) ?? '';
      expect(await shell(edits(first))).toContain('2 of 3');
    });

    test('The steps', async () => {
      const { at, shell, seen } = await fleet();
      const out = await shell(edits('The steps'));
      expect(out).toContain('~ expiry');
      expect(existsSync(at('root/2.root.json'))).toBe(true);
      expect(await seen('stable')).toBe('stable/1.1 verified');
    });

    /** heading → what a device sees afterwards */
    const rows: readonly (readonly [heading: string, seen: string, then?: string])[] = [
      ['Rotate a signing key', 'stable/1.1 verified'],
      ['A signing key was stolen', 'stable/2.1 verified'],
      ['Rotate the root keys', 'stable/1.1 verified'],
      ['Registry and counter are lost', 'stable/2.1 verified', 'holdfast publish stable'],
      ['Somebody published a number far too high', 'stable/2.1 verified'],
      ['A wrong clock dated a statement in the future', 'stable/1.1 verified'],
      ['Let devices learn what time it is', 'stable/1.1 verified'],
      ['The root ends soon, or has ended', 'stable/1.1 verified'],
      ['A new channel', 'stable/1.1 verified'],
    ];
    for (const [heading, expected, then = ''] of rows) {
      test(heading, async () => {
        const { desk, at, shell, seen } = await fleet();
        if (heading.includes('counter')) rmSync(at('signed'), { recursive: true });
        await shell(edits(heading));
        await shell(`${steps}\n${then}`);
        const shown = await desk.json<{ version: number }>(['root', 'show']);
        expect(shown).toMatchObject({ version: 2 });
        expect(await seen('stable')).toBe(expected);
      });
    }

    test('Too few root keys are left: a device with root 1 does not walk there, its new file does', async () => {
      const { at, shell, seen } = await fleet();
      rmSync(at('keys/root/root-1.pem'));
      await shell(edits('Too few root keys are left'));
      expect(existsSync(at('root/2.anchor.txt'))).toBe(true);
      expect(await seen('stable')).toBe('stable/1.1 verified'); // by keys that root 1 knows as well
      await shell('holdfast publish stable --renew');
      expect(await seen('stable')).toContain('refused');
      expect(await shell('holdfast verify stable -o name')).toBe('stable/1.2 verified\n');
    });

    test('The registry is lost', async () => {
      const { shell, seen } = await fleet();
      await shell(edits('The registry is lost'));
      expect(await seen('stable')).toBe('stable/1.1 verified');
    });

    test('Another desk changed the root', async () => {
      const one = await fleet();
      const other = newDesk();
      cpSync(one.desk.folder, other.folder, { recursive: true });
      await one.shell(edits('The steps'));
      const out = await shellOf(other, edits('Another desk changed the root'), {});
      expect(out).toContain('root 1 → 2');
      expect(readFileSync(join(other.folder, 'root/2.root.json'))).toEqual(
        readFileSync(one.at('root/2.root.json')),
      );
    });

    const openssl = program('openssl') === null ? test.skip : test;
    openssl('The CA of the servers changes: overlap, then the root’s CA alone', async () => {
      const { desk, at, shell, seen } = await fleet();
      const lines = edits('The CA of the servers changes').trim().split('\n');
      const [add = '', list = '', replace = '', stick = ''] = lines;
      expect(lines).toHaveLength(4);
      expect(await shell(`${add}\n${list}`)).toContain('ca-2027');
      await shell(steps);
      const again = steps.replaceAll('/2.', '/3.');
      expect(await shell(`${replace}\nholdfast root diff`)).toContain('~ tls');
      await shell(again);
      const shown = await desk.json<{ configured: string }>(['root', 'tls', 'show']);
      expect(shown).toMatchObject({ of: 'root', version: 3, configured: 'replace' });
      await shell(stick);
      expect(existsSync(at('root/3.root.json'))).toBe(true);
      expect(await seen('stable')).toBe('stable/1.1 verified');
    });

    test('has no section that is not run', () => {
      const run = new Set([...rows.map(([heading]) => heading), 'The steps']);
      const apart = [
        'Too few root keys are left',
        'The registry is lost',
        'The CA of the servers changes',
      ];
      const others = [...sections].filter(([heading, text]) => {
        const known = run.has(heading) || apart.includes(heading);
        return text !== '' && !known && !/^(Roots:|Another desk)/.test(heading);
      });
      expect(others).toEqual([]);
    });
  });
}
