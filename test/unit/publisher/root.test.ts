/** Edits of the root in a fleet folder: what a draft says, what is refused before anybody signs. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { sign } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pae } from '#trust/dsse.ts';
import { readEnvelope, writeEnvelope } from '#wire/envelope.ts';
import type { Desk } from '../../support/desk.ts';
import { type Diff, openRootDesk, type RootDesk, type Shown } from './root-desk.ts';

let made: RootDesk;
let desk: Desk;
const at = (path: string) => made.at(path);
const root = (...args: string[]) => made.root(...args);
const json = <T>(...args: string[]) => made.json<T>(...args);
const request = () => made.request();
const diff = () => made.diff();
const lines = ({ changes }: Diff) =>
  changes.map(({ kind, what, name }) => [kind, what, name].join(' ').trim());
const change = (...edits: string[][]) => made.change(...edits);
const newKey = (name: string, ...more: string[]) => made.newKey(name, ...more);

beforeEach(async () => {
  made = await openRootDesk();
  desk = made.desk;
});
afterEach(() => desk.remove());

describe('root show', () => {
  test('names keys, roles, channels and epochs', async () => {
    const shown = await json<Shown>('show');
    expect(shown).toMatchObject({ version: 1, notAfter: 'never', next: 'nothing' });
    expect(shown.keys.map(({ name, roles }) => [name, roles])).toEqual([
      ['root-1', ['root']],
      ['root-2', ['root']],
      ['canary', ['channel.canary']],
      ['stable', ['channel.stable']],
    ]);
    expect(shown.channels).toContainEqual({ name: 'stable', role: 'channel.stable', epoch: 1 });
    expect((await root('show')).out).toContain('1 of 2');
  });
  test('shows a former version, and refuses one that never was', async () => {
    await change(['set-expiry', '2050-01-01']);
    expect(await json<Shown>('show', '1')).toMatchObject({ version: 1, notAfter: 'never' });
    expect(await json<Shown>('show')).toMatchObject({
      version: 2,
      notAfter: '2050-01-01T00:00:00Z',
    });
    expect(await root('show', '3')).toMatchObject({ code: 2 });
  });
});

describe('the role time', () => {
  test('comes with its first key, goes with its last, and may sign no channel', async () => {
    await newKey('clock');
    await change(['add-key', 'clock', '--role', 'time']);
    const roles = async () => (await json<Shown>('show')).roles.map(({ name }) => name);
    expect(await roles()).toContain('time');
    expect((await root('add-channel', 'beta', '--role', 'time')).code).toBe(0);
    expect((await diff()).unfit).toContain('signed by the role time');
    await root('discard');
    await root('add-key', 'clock', '--role', 'channel.stable');
    expect((await diff()).remarks.join()).toContain('a time key, which is online');
    await root('discard');
    await change(['remove-key', 'clock']);
    expect(await roles()).not.toContain('time');
  });
});

describe('edits make a draft that people can read and change', () => {
  test('each edit is one line of the diff', async () => {
    await newKey('next');
    const edits = [
      ['add-key', 'next', '--role', 'channel.stable', '--until', '2050-01-01'],
      ['remove-key', 'canary', '--role', 'channel.canary'],
      ['set-threshold', 'root', '2'],
      ['add-channel', 'beta', '--key', 'next'],
      ['bump-epoch', 'stable'],
      ['set-expiry', '2051-01-01T06:00:00Z'],
      ['time-reset', '2027-01-01'],
    ];
    for (const edit of edits) expect((await root(...edit)).code).toBe(0);
    const shown = await diff();
    expect(lines(shown)).toEqual([
      'changed expiry',
      'changed time',
      'added key next',
      'changed role root',
      'changed role channel.canary',
      'changed role channel.stable',
      'added role channel.beta',
      'changed channel stable',
      'added channel beta',
    ]);
    const details = shown.changes.map(({ detail }) => detail);
    expect(details).toContain('1 of 2 → 2 of 2');
    expect(details).toContain('1 of 1 → 1 of 2 +next');
    expect(details).toContain('epoch 1 → 2: its numbers start again');
    expect(shown.unfit).toBe('role channel.canary wants 1 signatures and has 0 keys in force');
    expect(shown.remarks).toContain('in no role, so they sign nothing: canary');
  });
  test('an edit by hand in the YAML counts like one by command', async () => {
    await root('edit');
    const yaml = readFileSync(at('root/2.draft.yaml'), 'utf8');
    writeFileSync(at('root/2.draft.yaml'), yaml.replace('threshold: 1', 'threshold: 2'));
    expect(lines(await diff())).toEqual(['changed role root']);
  });
  test('the draft of an unchanged root says the same as the root', async () => {
    await root('edit');
    expect(await json<Diff>('diff')).toMatchObject({ changes: [], unfit: null });
  });
  for (const [what, from, to, code] of [
    ['an unknown key', 'demo', 'demos', 'config.invalid'],
    [
      'a role with a key that is not there',
      'keys:\n      - canary',
      'keys:\n      - cat',
      'publish.root-draft',
    ],
    ['a damaged public key', 'publicKey: M', 'publicKey: ??', 'config.invalid'],
    ['a date that no calendar has', 'notAfter: never', 'notAfter: 2050-02-30', 'config.invalid'],
  ] as const) {
    test(`a draft with ${what} is refused`, async () => {
      await desk.run(['init', 'demo', '--no-passphrase', '--demo']);
      const run = (...args: string[]) => desk.run(['root', ...args, '-C', 'demo']);
      await run('edit');
      const file = join(desk.folder, 'demo/root/2.draft.yaml');
      const yaml = readFileSync(file, 'utf8');
      expect(yaml).toContain(from);
      writeFileSync(file, yaml.replace(from, to));
      const refused = await run('request');
      expect([refused.code !== 0, refused.err.includes(code)]).toEqual([true, true]);
    });
  }
  test('removing the last keys of a role, or a role root that none can fill, is found before signing', async () => {
    await root('remove-key', 'root-1');
    await root('remove-key', 'root-2');
    const refused = await root('request');
    expect([refused.code, refused.err.includes('publish.root-draft')]).toEqual([2, true]);
    expect(existsSync(at('root/2.request.json'))).toBe(false);
  });
  for (const [why, ...edit] of [
    ['a name that another key has', 'add-key', 'stable', 'KEY', '--role', 'root'],
    ['a role that is not there', 'add-key', 'other', 'KEY', '--role', 'nobody'],
    ['a threshold above the keys', 'set-threshold', 'root', '3'],
    ['a threshold of nothing', 'set-threshold', 'root', '0'],
    ['a key that is not there', 'remove-key', 'nobody'],
    ['a channel that is there', 'add-channel', 'stable'],
    ['a new channel without keys', 'add-channel', 'beta'],
    ['a bad channel name', 'add-channel', 'No'],
    ['an unknown channel', 'bump-epoch', 'beta'],
    ['a time that is none', 'set-expiry', 'soon'],
    ['a day that no calendar has', 'set-expiry', '2050-02-30'],
    ['an unknown scheme', 'add-key', 'other', 'KEY', '--role', 'root', '--scheme', 'rot13'],
  ] as const) {
    test(`an edit with ${why} is refused and leaves no draft`, async () => {
      const args = edit.map((arg) => (arg === 'KEY' ? 'plant/keys/root/root-1.pub.pem' : arg));
      const refused = await root(...args);
      expect([refused.code, refused.err.includes('publish.option')]).toEqual([2, true]);
      expect(readdirSync(at('root'))).toEqual(['1.root.json']);
    });
  }
  test('a channel that comes back starts above every epoch that it had', async () => {
    await change(['bump-epoch', 'canary'], ['bump-epoch', 'canary']);
    const yaml = readFileSync(at('fleet.yaml'), 'utf8');
    writeFileSync(at('fleet.yaml'), yaml.replace(/ {2}canary:\n(?: {4}.*\n)+/, ''));
    await change(['remove-channel', 'canary']);
    await root('add-channel', 'canary', '--key', 'canary');
    expect(await diff()).toMatchObject({ unfit: null });
    const draft = at('root/4.draft.yaml');
    expect(readFileSync(draft, 'utf8')).toContain('epoch: 4');
    writeFileSync(draft, readFileSync(draft, 'utf8').replace('epoch: 4', 'epoch: 1'));
    expect((await diff()).unfit).toBe('the epoch of channel canary goes back from 3 to 1');
  });
  test('a root with parts that this version would lose is not edited', async () => {
    const first = readEnvelope(made.bytesOf('root/1.root.json'));
    if (!first.ok) throw new Error(first.fault.message);
    const field2000 = [0x80, 0x7d, 1];
    const { payloadType } = first.value;
    const payload = new Uint8Array([...first.value.payload, ...field2000]);
    const pem = readFileSync(at('keys/root/root-1.pem'), 'utf8');
    const sig = new Uint8Array(sign(null, pae(payloadType, payload), pem));
    const newer = writeEnvelope({ payloadType, payload, signatures: [{ keyid: '', sig }] });
    writeFileSync(at('root/1.root.json'), newer);
    expect((await root('show')).code).toBe(0);
    const refused = await root('set-expiry', '2050-01-01');
    expect([refused.code, refused.err.includes('publish.root-newer')]).toEqual([2, true]);
  });
  test('a time reset is not carried on to the next root', async () => {
    await change(['time-reset']);
    expect(await json<{ timeReset: string | null }>('show')).not.toMatchObject({ timeReset: null });
    await root('edit');
    expect(readFileSync(at('root/3.draft.yaml'), 'utf8')).not.toContain('timeReset');
  });
  test('discard drops draft and request, nothing else', async () => {
    await root('set-expiry', '2050-01-01');
    await request();
    await root('discard');
    expect(readdirSync(at('root'))).toEqual(['1.root.json']);
    const none = await root('request');
    expect([none.code, none.err.includes('publish.root-none')]).toEqual([2, true]);
  });
});
