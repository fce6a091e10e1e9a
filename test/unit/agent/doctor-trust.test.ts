/** What doctor says of the root: the newest held, not only the owner's file. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseConfig } from '#agent/config.ts';
import { doctorRoot } from '#agent/doctor-trust.ts';
import { parseCertificates } from '#platform/node/certificates.ts';
import { systemFiles } from '#platform/node/files.ts';
import type { Root } from '#state/root.ts';
import { contentStore } from '#store/content.ts';
import { viewTime } from '#trust/time.ts';
import { writeEnvelope } from '#wire/envelope.ts';
import { makeCa } from '../../support/certificates.ts';
import { isRoot, program } from '../../support/parts.ts';
import { DAY, FLEET, NOW, signedRoot } from '../trust/world.ts';

const files = systemFiles();
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-doctor-'));
  writeFileSync(join(folder, 'root.json'), bytes({}));
});
afterEach(() => rmSync(folder, { recursive: true }));

function bytes(more: Partial<Root>): Uint8Array {
  return writeEnvelope(signedRoot(more));
}

/** The device has walked to this root. */
function hold(more: Partial<Root>): void {
  const content = contentStore(files, join(folder, 'state'));
  if (!content.ok) throw new Error(content.fault.message);
  const put = content.value.putRoot(FLEET, bytes(more));
  content.value.close();
  if (!put.ok) throw new Error(put.fault.message);
}

function told() {
  const text = JSON.stringify({
    ...{ apiVersion: 'holdfast/v1', kind: 'Agent', stateDir: join(folder, 'state') },
    trust: { root: join(folder, 'root.json') },
    channels: [{ name: 'stable' }],
  });
  const config = parseConfig(new TextEncoder().encode(text), join(folder, 'agent.yaml'));
  if (!config.ok) throw new Error(config.fault.message);
  const time = viewTime({ floorMs: NOW - DAY, wallMs: NOW });
  const { root: found, findings } = doctorRoot(
    { files, certificates: parseCertificates },
    config.value,
    time,
  );
  const version = found.ok ? found.value.version : found.fault.code;
  return { version, said: findings.map(({ severity, message }) => `${severity}: ${message}`) };
}

describe('doctor judges', () => {
  test('the owner’s file where no other root was ever held', () => {
    expect(told()).toEqual({ version: 1n, said: [`ok: root version 1 of fleet ${FLEET}`] });
  });

  test('the root held, and names the version of the file', () => {
    hold({ version: 3n, notAfter: NOW - DAY });
    const { version, said } = told();
    expect(version).toBe(3n);
    expect(said[0]).toBe(`ok: root version 3 of fleet ${FLEET}; the owner's file has version 1`);
    expect(said[1]).toContain('warning: the root expired at');
  });

  test('a root that ends within 30 days', () => {
    hold({ version: 2n, notAfter: NOW + 29 * DAY });
    expect(told().said[1]).toContain('warning: the root ends at');
    hold({ version: 2n, notAfter: NOW + 31 * DAY });
    expect(told().said).toHaveLength(1);
  });

  test('a channel that the root held no longer names', () => {
    hold({ version: 2n, channels: [{ name: 'canary', role: 'canary-signers', epoch: 1n }] });
    expect(told().said[1]).toContain('error: the root names no channel "stable"');
  });

  test('the owner’s file where it is newer than what is held', () => {
    hold({ version: 2n });
    writeFileSync(join(folder, 'root.json'), bytes({ version: 4n }));
    expect(told().version).toBe(4n);
  });

  test('the owner’s file, and says so, where the copy is damaged', () => {
    hold({ version: 2n });
    const copy = join(folder, 'state/content', `${FLEET}.root`);
    const held = readFileSync(copy);
    held.writeUInt8(held.readUInt8(40) ^ 1, 40);
    writeFileSync(copy, held);
    const { version, said } = told();
    expect(version).toBe(1n);
    expect(said[0]).toContain("note: only the owner's file is judged");
  });

  const asUser = isRoot ? test.skip : test;
  const notRoot = isRoot ? ' (skipped: root reads everything)' : '';
  asUser(`the owner’s file, and says so, where the state cannot be read${notRoot}`, () => {
    hold({ version: 2n });
    chmodSync(join(folder, 'state'), 0);
    expect(told().said[0]).toContain('Permission denied');
    chmodSync(join(folder, 'state'), 0o700);
  });

  const openssl = program('openssl') === null ? test.skip : test;
  const lacking = program('openssl') === null ? ' (skipped: no openssl)' : '';
  openssl(`the CAs of TLS that it names: unreadable, ended, soon to end${lacking}`, () => {
    const ca = parseCertificates(readFileSync(makeCa(folder, 'ca').cert, 'utf8'));
    const [first] = ca.ok ? ca.value : [];
    const certificate = first?.raw ?? new Uint8Array();
    const one = (notAfter: number, comment: string) => ({ certificate, notAfter, comment });
    const said = (anchor: ReturnType<typeof one>, replacesConfigured = false) => {
      hold({ version: 2n, tls: { anchors: [anchor], replacesConfigured } });
      return told().said.slice(1);
    };
    expect(said(one(0, 'ca-1'))).toEqual(['ok: the root names CAs, beside tls.ca: ca-1']);
    expect(said(one(NOW - DAY, 'ca-1'), true)).toEqual([
      'ok: the root names CAs, in place of tls.ca: ca-1',
      expect.stringContaining('warning: ca-1 of the root ended at'),
    ]);
    expect(said(one(NOW + DAY, ''))[1]).toContain('a CA without a name of the root ends at');
    const odd = { certificate: Uint8Array.of(0x30, 0), notAfter: 0, comment: 'odd' };
    expect(said(odd)[1]).toContain('odd of the root cannot be read');
  });
});
