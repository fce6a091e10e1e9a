/** X.509-SVIDs and trust bundles, as Margo's examples have them and as openssl makes them. */
import { afterAll, describe, expect, test } from 'bun:test';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseCertificates } from '#platform/node/certificates.ts';
import { readSvid } from '#platform/svid.ts';
import { clientName, readMargoName, wfmName } from '#state/spiffe.ts';
import { readTrustBundle } from '#wire/trust-bundle.ts';
import { makeCa, makeLeaf } from '../../support/certificates.ts';
import { makeSvid, WFM } from '../../support/margo-world.ts';
import { scratch } from '../../support/store.ts';
import { bytesOf, codeOf } from '../../support/wire-samples.ts';

const SHARED = process.env.HOLDFAST_VECTORS ?? join(import.meta.dir, '../../../../shared');
const IDENTITY = join(SHARED, 'margo/examples/identity');
const present = existsSync(IDENTITY);
const place = scratch('svid');
afterAll(() => place.remove());

function svidOf(file: string) {
  const parsed = parseCertificates(readFileSync(file, 'utf8'));
  const [leaf] = parsed.ok ? parsed.value : [];
  if (!leaf) throw new Error(`no certificate in ${file}`);
  return readSvid(leaf, 'it');
}

test('a name of Margo is read whole or not at all', () => {
  const name = readMargoName(`${WFM}/client/press-42`);
  expect(name).toEqual({ domain: 'plant-a.example', wfm: 'w1', client: 'press-42' });
  expect(name && wfmName(name)).toBe(WFM);
  expect(clientName({ domain: 'd', wfm: 'w', client: 'c' })).toBe(
    'spiffe://d/margo/wfm/w/client/c',
  );
  for (const other of [`${WFM}/`, 'spiffe://A/margo/wfm/w', `${WFM}/client/..`, `${WFM}/x/y`]) {
    expect(readMargoName(other)).toBeNull();
  }
});

test('exactly one URI name, and a key that signs no certificates', () => {
  const ca = makeCa(place.path, 'ca');
  const good = makeSvid(place.path, 'good', ca, `${WFM}/client/a`);
  expect(codeOf(svidOf(good.cert))).toBe('ok');
  for (const [name, ...lines] of [
    ['none', 'subjectAltName=DNS:localhost'],
    ['two', `subjectAltName=URI:${WFM},URI:${WFM}2`],
    ['signs', `subjectAltName=URI:${WFM}`, 'keyUsage=critical,digitalSignature,keyCertSign'],
    ['authority', `subjectAltName=URI:${WFM}`, 'basicConstraints=critical,CA:TRUE'],
  ] as const) {
    expect(codeOf(svidOf(makeLeaf(place.path, name, ca, lines).cert))).toBe('margo.identity');
  }
});

describe.skipIf(!present)(`Margo's identities${present ? '' : ' (skipped: none here)'}`, () => {
  for (const [file, wanted] of [
    ['wfm.crt.pem', 'ok'],
    ['client.crt.pem', 'ok'],
    ['wfm-via-intermediate.crt.pem', 'ok'],
    ['wfm-bad-two-uris.crt.pem', 'margo.identity'],
    ['wfm-bad-no-uri.crt.pem', 'margo.identity'],
    ['wfm-bad-ca-leaf.crt.pem', 'margo.identity'],
    ['wfm-bad-key-usage.crt.pem', 'margo.identity'],
  ] as const) {
    test(`${file}: ${wanted}`, () => expect(codeOf(svidOf(join(IDENTITY, file)))).toBe(wanted));
  }

  for (const [file, anchors] of [
    ['trust-bundle.json', 1],
    ['trust-bundle-rotation.json', 2],
    ['trust-bundle-empty.json', 'margo.trust-bundle'],
    ['trust-bundle-jwt-only.json', 'margo.trust-bundle'],
  ] as const) {
    test(`${file}: ${anchors}`, () => {
      const read = readTrustBundle(new Uint8Array(readFileSync(join(IDENTITY, file))), file);
      expect(read.ok ? read.value.anchors.length : read.fault.code).toBe(anchors);
    });
  }
});

test('a trust bundle of no base64 or too many anchors is refused whole', () => {
  const bundle = (x5c: readonly string[]) =>
    bytesOf(JSON.stringify({ keys: x5c.map((one) => ({ use: 'x509-svid', x5c: [one] })) }));
  expect(codeOf(readTrustBundle(bundle(['AAAA']), 'f'))).toBe('ok');
  expect(codeOf(readTrustBundle(bundle(['%']), 'f'))).toBe('margo.trust-bundle');
  expect(codeOf(readTrustBundle(bundle(Array(33).fill('AAAA')), 'f'))).toBe('margo.trust-bundle');
});
