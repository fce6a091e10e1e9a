/** The CAs of TLS in the next root: edits, what changes, what would strand devices. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CertificateFiles, makeCa, makeLeaf, SERVER } from '../../support/certificates.ts';
import { program } from '../../support/parts.ts';
import { openRootDesk, type RootDesk } from './root-desk.ts';

interface Tls {
  of: string;
  version: number;
  configured: string;
  anchors: { name: string; subject: string; fingerprint: string; notAfter: string; ca: boolean }[];
}

const lacking = program('openssl') === null ? ' (skipped: no openssl)' : '';

function openssl(what: string, work: () => void | Promise<void>): void {
  (lacking === '' ? test : test.skip)(`${what}${lacking}`, work);
}
const folder = mkdtempSync(join(tmpdir(), 'holdfast-root-tls-'));
afterAll(() => rmSync(folder, { recursive: true }));
let old: CertificateFiles;
let next: CertificateFiles;
let leaf: CertificateFiles;
beforeAll(() => {
  if (program('openssl') === null) return;
  [old, next] = [makeCa(folder, 'ca-2026'), makeCa(folder, 'ca-2027')];
  leaf = makeLeaf(folder, 'server', old, SERVER);
});

let made: RootDesk;
beforeEach(async () => {
  made = await openRootDesk();
});
afterEach(() => made.desk.remove());

const tls = (...args: string[]) => made.root('tls', ...args);
const shown = () => made.json<Tls>('tls', 'show');

describe('root tls', () => {
  openssl('adds a CA, in PEM and in DER, shows it, and takes it away', async () => {
    const der = join(folder, 'ca-2027.der');
    execFileSync('openssl', ['x509', '-in', next.cert, '-outform', 'DER', '-out', der]);
    expect((await tls('add', 'ca-2026', old.cert)).out).toContain('+ ca ca-2026: certificate');
    expect((await tls('add', 'ca-2027', der, '--until', '2031-01-01')).code).toBe(0);
    const print = ['x509', '-in', next.cert, '-noout', '-fingerprint', '-sha256'];
    const fingerprint = execFileSync('openssl', print, { encoding: 'utf8' }).split('=')[1];
    const now = await shown();
    expect(now).toMatchObject({ of: 'draft', version: 2, configured: 'keep' });
    expect(now.anchors.map(({ name, subject, ca }) => [name, subject, ca])).toEqual([
      ['ca-2026', 'CN=ca-2026', true],
      ['ca-2027', 'CN=ca-2027', true],
    ]);
    expect(now.anchors[1]).toMatchObject({
      notAfter: '2031-01-01T00:00:00Z',
      fingerprint: fingerprint?.replaceAll(':', '').trim().toLowerCase() ?? '',
    });
    expect((await tls('remove', 'ca-2026')).code).toBe(0);
    expect((await tls('remove', 'ca-2027')).code).toBe(0);
    expect((await shown()).anchors).toEqual([]);
    expect((await made.json<{ changes: unknown[] }>('diff')).changes).toEqual([]);
  });

  openssl('goes through draft, request and signature into the next root, and on', async () => {
    await made.change(['tls', 'add', 'ca-2026', old.cert], ['tls', 'configured', 'replace']);
    expect(await shown()).toMatchObject({ of: 'root', version: 2, configured: 'replace' });
    expect((await made.root('show')).out).toContain('CA OF TLS');
    await made.change(['set-expiry', '2050-01-01']);
    expect(await shown()).toMatchObject({ version: 3, configured: 'replace' });
    expect((await shown()).anchors.map(({ name }) => name)).toEqual(['ca-2026']);
    const back = await tls('configured', 'keep');
    expect(back.out).toContain('~ tls: these CAs count beside');
  });

  openssl('the end of an anchor is one line of the diff', async () => {
    await made.change(['tls', 'add', 'ca-2026', old.cert]);
    const ran = await tls('add', 'ca-2026', old.cert, '--until', '2030-01-01');
    expect(ran.out).toContain(
      '~ ca ca-2026: ends with its certificate → ends 2030-01-01T00:00:00Z',
    );
  });

  openssl('what cannot be meant is refused, and the draft stays as it is', async () => {
    const both = join(folder, 'both.pem');
    writeFileSync(both, readFileSync(old.cert, 'utf8') + readFileSync(next.cert, 'utf8'));
    const none = join(folder, 'none.pem');
    writeFileSync(none, 'no certificate');
    await tls('add', 'ca-2026', old.cert);
    for (const [args, says] of [
      [['add', 'CA 2027', next.cert], 'use a-z'],
      [['add', 'ca-2027', both], 'it holds 2 certificates'],
      [['add', 'ca-2027', none], 'damaged'],
      [['add', 'ca-2027', old.cert], 'it is there already, as ca-2026'],
      [['add', 'ca-2026', next.cert], 'another CA has the name ca-2026'],
      [['add', 'ca-2027', next.cert, '--until', 'soon'], 'soon is not'],
      [['remove', 'ca-2027'], 'there is no CA ca-2027; it has ca-2026'],
      [['configured', 'maybe'], 'keep or replace'],
    ] as const) {
      const ran = await tls(...args);
      expect([args.join(' '), ran.code, ran.err]).toEqual([
        args.join(' '),
        2,
        expect.stringContaining(says),
      ]);
    }
    expect((await shown()).anchors.map(({ name }) => name)).toEqual(['ca-2026']);
  });

  test('replacing what is configured by nothing is refused', async () => {
    expect((await tls('configured', 'replace')).err).toContain('`root tls add` first');
  });
});

describe('what would strand devices is said before anybody signs', () => {
  const remarks = async () => (await made.diff()).remarks;
  const unfit = async () => (await made.diff()).unfit;

  openssl('the old CA goes in the step that brings the new one', async () => {
    await made.change(['tls', 'add', 'ca-2026', old.cert]);
    await tls('add', 'ca-2027', next.cert);
    expect(await remarks()).toEqual([]);
    await tls('remove', 'ca-2026');
    expect(await remarks()).toEqual([
      expect.stringContaining('no overlap: ca-2026 goes in the step that brings ca-2027'),
    ]);
  });

  openssl('a CA goes by itself, after the servers have changed', async () => {
    await made.change(['tls', 'add', 'ca-2026', old.cert], ['tls', 'add', 'ca-2027', next.cert]);
    await tls('remove', 'ca-2026');
    expect(await remarks()).toEqual([expect.stringContaining('ca-2026 goes: a server that still')]);
  });

  openssl('the CAs in tls.ca stop counting, in one step with a new one or alone', async () => {
    await tls('add', 'ca-2027', next.cert);
    await tls('configured', 'replace');
    expect(await remarks()).toEqual([expect.stringContaining('no overlap: the CAs in tls.ca')]);
    await made.root('discard');
    await made.change(['tls', 'add', 'ca-2027', next.cert]);
    await tls('configured', 'replace');
    expect(await remarks()).toEqual([expect.stringContaining('the CAs in tls.ca of devices stop')]);
  });

  openssl('a certificate that is no CA, and one that ends soon', async () => {
    await tls('add', 'server', leaf.cert);
    expect(await remarks()).toEqual([
      expect.stringContaining('server is no CA'),
      expect.stringContaining('server ends'),
    ]);
  });

  openssl('an anchor that has ended, and one that cannot be read', async () => {
    await tls('add', 'ca-2026', old.cert, '--until', '2020-01-01');
    const file = made.at('root/2.draft.yaml');
    const broken = '    odd:\n      certificate: MAA=\n';
    writeFileSync(
      file,
      readFileSync(file, 'utf8').replace('  anchors:\n', `  anchors:\n${broken}`),
    );
    expect(await remarks()).toEqual([
      'odd cannot be read as a certificate: devices pass it over',
      'ca-2026 ended 2020-01-01T00:00:00Z: no connection counts on it',
    ]);
  });

  openssl('no CA in force in place of what is configured cannot be signed', async () => {
    await tls('add', 'ca-2026', old.cert, '--until', '2020-01-01');
    await tls('configured', 'replace');
    expect(await unfit()).toContain('none of them is in force');
    expect((await made.root('request')).code).toBe(2);
    await tls('add', 'ca-2026', old.cert);
    expect(await unfit()).toBeNull();
    await tls('remove', 'ca-2026');
    expect(await unfit()).toContain('there are none');
  });
});
