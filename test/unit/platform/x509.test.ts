/** Certificates made here are taken by node:tls, openssl and link/peer.ts; bad requests by nobody. */
import { afterAll, describe, expect, test } from 'bun:test';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkPeer } from '#link/peer.ts';
import { certificateOf } from '#platform/node/certificates.ts';
import { systemX509 } from '#platform/node/x509.ts';

const x509 = systemX509();
const folder = mkdtempSync(join(tmpdir(), 'holdfast-x509-'));
const now = Date.now();
const validity = { notBefore: now - 60_000, notAfter: now + 86_400_000 };
const authority = await x509.makeAuthority({ name: 'Holdfast hub plant', ...validity });

afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

function openssl(...args: readonly string[]): string {
  return execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'] }).toString();
}

async function client(name = 'press-7') {
  const { keyPem, csr } = x509.makeRequest(name);
  const issued = await x509.issueClient(authority, { ...validity, name, csr });
  if (!issued.ok) throw new Error(issued.fault.message);
  return { keyPem, csr, pem: issued.value };
}

describe('a server certificate', () => {
  test('is one to link/peer.ts, for each of its names and no other', async () => {
    const names = ['hub.plant.example', '127.0.0.1', '::1'];
    const server = await x509.issueServer(authority, { ...validity, names });
    if (!server.ok) throw new Error(server.fault.message);
    const leaf = certificateOf(server.value.certificate);
    const anchor = certificateOf(authority.certificate);
    if (!leaf || !anchor) throw new Error('unreadable');
    const judge = (name: string) =>
      checkPeer([leaf, anchor], { anchors: [anchor], name, floorMs: now }).ok;
    expect(names.map(judge)).toEqual([true, true, true]);
    expect(judge('other.plant.example')).toBe(false);
    expect(leaf.unknownCritical).toEqual([]);
    expect(x509.belongTogether(server.value.certificate, server.value.key)).toBe(true);
  });

  test('of an authority that is none is config.certificate', async () => {
    const broken = { certificate: 'no PEM', key: authority.key };
    const made = await x509.issueServer(broken, { ...validity, names: ['x'] });
    expect(made.ok ? '' : made.fault.code).toBe('config.certificate');
  });
});

describe('a client certificate', () => {
  test('verifies with openssl, for clients and not for servers', async () => {
    const { pem } = await client();
    const [ca, leaf] = [file('ca.pem', authority.certificate), file('leaf.pem', pem)];
    const verify = (purpose: string) =>
      openssl('verify', '-CAfile', ca, '-purpose', purpose, leaf).trim();
    expect(verify('sslclient')).toBe(`${leaf}: OK`);
    expect(() => verify('sslserver')).toThrow();
  });

  test('is for the key of the request, which stays where it was made', async () => {
    const { pem, keyPem } = await client();
    expect(x509.belongTogether(pem, keyPem)).toBe(true);
    expect(x509.belongTogether(pem, x509.makeRequest('press-7').keyPem)).toBe(false);
    expect(new X509Certificate(pem).subject).toBe('CN=press-7');
  });

  test('takes the name that was decided, not the one in the request', async () => {
    const { csr } = x509.makeRequest('root');
    const issued = await x509.issueClient(authority, { ...validity, name: 'press-7', csr });
    expect(issued.ok && new X509Certificate(issued.value).subject).toBe('CN=press-7');
  });
});

describe('a request', () => {
  test('is PKCS#10 to openssl, and signed', () => {
    const csr = file('press.csr', x509.makeRequest('press-7').csr);
    const told = openssl('req', '-in', csr, '-inform', 'DER', '-noout', '-subject', '-verify');
    expect(told).toContain('press-7');
  });

  test('by openssl is taken as well', async () => {
    const key = join(folder, 'foreign.key');
    const csr = join(folder, 'foreign.csr');
    const made = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key];
    openssl('req', ...made, '-subj', '/CN=foreign', '-outform', 'DER', '-out', csr);
    const bytes = new Uint8Array(await Bun.file(csr).arrayBuffer());
    expect((await x509.issueClient(authority, { ...validity, name: 'f', csr: bytes })).ok).toBe(
      true,
    );
  });

  test('with a flipped byte, cut, of another curve or of nothing is enroll.request', async () => {
    const { csr } = x509.makeRequest('press-7');
    const flipped = Uint8Array.from(csr);
    flipped[csr.length - 8] = (flipped[csr.length - 8] ?? 0) ^ 1;
    const path = join(folder, 'p384.csr');
    const made = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384', '-nodes'];
    const key = join(folder, 'p384.key');
    openssl('req', ...made, '-keyout', key, '-subj', '/CN=x', '-outform', 'DER', '-out', path);
    const p384 = new Uint8Array(await Bun.file(path).arrayBuffer());
    for (const bad of [
      flipped,
      csr.subarray(0, 40),
      p384,
      new Uint8Array(),
      Buffer.from('hello'),
    ]) {
      const issued = await x509.issueClient(authority, { ...validity, name: 'x', csr: bad });
      expect(issued.ok ? '' : issued.fault.code).toBe('enroll.request');
    }
  });
});
