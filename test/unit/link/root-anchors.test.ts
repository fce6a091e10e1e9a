/** TLS anchors of the root beside those of the configuration, or in their place. */
import { describe, expect, test } from 'bun:test';
import { ok, type Result, refuse } from '#errors/fault.ts';
import {
  type Anchoring,
  pemOf,
  type Standing,
  stillVouchedFor,
  withRootAnchors,
} from '#link/root-anchors.ts';
import type { TlsOptions } from '#platform/http.ts';
import type { PeerCertificate } from '#platform/tls.ts';
import type { TlsTrust } from '#state/root.ts';
import { scriptedHttp, scriptedLink } from '../../support/scripted-http.ts';

const FLOOR = Date.UTC(2026, 10, 23);
const der = (name: string) => new TextEncoder().encode(name);
const A = pemOf(der('A'));
const B = pemOf(der('B'));
const OWN = '-----BEGIN CERTIFICATE-----\nOWN\n-----END CERTIFICATE-----\n';

/** Reads whatever is in it but `broken`. */
function certificates(pem: string): Result<readonly PeerCertificate[]> {
  if (pem.includes(pemOf(der('broken')))) return refuse('config.certificate', { reason: 'no' });
  const blocks = pem.split('-----END CERTIFICATE-----\n').filter((block) => block !== '');
  return ok(blocks.map((block) => authority(`${block}-----END CERTIFICATE-----\n`)));
}

function trust(names: readonly string[], more: Partial<TlsTrust> = {}, notAfter = 0): TlsTrust {
  const anchors = names.map((name) => ({ certificate: der(name), notAfter, comment: name }));
  return { anchors, replacesConfigured: false, ...more };
}

function anchored(tls: TlsOptions, given: TlsTrust | null, more: Partial<Anchoring> = {}) {
  const made = withRootAnchors(certificates, tls, {
    trust: given,
    floorMs: FLOOR,
    peer: 'registry.example',
    ...more,
  });
  return made.ok ? made.value : made.fault.code;
}

describe('the anchors of a connection', () => {
  const replaced = { replacesConfigured: true };
  const client = { cert: 'C', key: 'K' };
  for (const [what, tls, root, expected] of [
    ['no root anchors: as configured', { ca: OWN }, null, { ca: OWN }],
    ['no anchor at all: the system’s', {}, null, {}],
    ['a root that names none changes nothing', { ca: OWN }, trust([]), { ca: OWN }],
    ['beside tls.ca', { ca: OWN }, trust(['A', 'B']), { ca: `${OWN}${A}${B}` }],
    ['beside a tls.ca without a last line end', { ca: 'x' }, trust(['A']), { ca: `x\n${A}` }],
    ['beside the system’s', {}, trust(['A']), { addCa: A }],
    ['in place of tls.ca', { ca: OWN }, trust(['A'], replaced), { ca: A }],
    ['in place of the system’s', {}, trust(['A'], replaced), { ca: A }],
    [
      'a client certificate stays',
      { ...client, ca: OWN },
      trust(['A'], replaced),
      { ...client, ca: A },
    ],
    [
      'one that cannot be read ends no connection',
      { ca: OWN },
      trust(['broken', 'B']),
      { ca: `${OWN}${B}` },
    ],
    ['none of which can be read', { ca: OWN }, trust(['broken']), { ca: OWN }],
    ['one that ended by the floor', {}, trust(['A'], {}, FLOOR - 1), {}],
    ['one that ends with the floor', {}, trust(['A'], {}, FLOOR), { addCa: A }],
    [
      'in place of all, and all have ended',
      { ca: OWN },
      trust(['A'], replaced, FLOOR - 1),
      'link.no-anchors',
    ],
    ['in place of all, and none can be read', {}, trust(['broken'], replaced), 'link.no-anchors'],
  ] as const) {
    test(what, () => expect(anchored(tls, root)).toEqual(expected));
  }

  test('of one root, the floor is looked at each time', () => {
    const root = trust(['A'], {}, FLOOR);
    expect(anchored({}, root)).toEqual({ addCa: A });
    expect(anchored({}, root, { floorMs: FLOOR + 1 })).toEqual({});
  });

  test('an HTTP link reads the root anew for each request', async () => {
    let held = trust(['A']);
    const scripted = scriptedHttp(() => ({ status: 200 }));
    const link = scriptedLink(scripted, { rootAnchors: () => held, parts: { certificates } });
    const access = { origin: 'https://r.example', insecure: false, tls: null, proxy: null };
    const request = {
      method: 'GET',
      url: 'https://r.example/',
      access,
      cap: 1,
      what: 'x',
    } as const;
    const ask = () => link.send({ ...request, redirects: 'refuse' });
    await ask();
    held = trust(['B'], replaced);
    await ask();
    held = trust(['A'], replaced, 1);
    const kept = await ask();
    expect(scripted.asked.map(({ tls }) => tls)).toEqual([{ addCa: A }, { ca: B }, { ca: A }]);
    expect(kept.ok).toBe(true);
  });

  test('link.no-anchors says what to do, and nothing is sent', async () => {
    const scripted = scriptedHttp(() => ({ status: 200 }));
    const link = scriptedLink(scripted, {
      rootAnchors: () => trust(['broken'], replaced),
      parts: { certificates },
    });
    const access = { origin: 'https://r.example', insecure: false, tls: null, proxy: null };
    const sent = await link.send({
      ...{ method: 'GET', url: 'https://r.example/', access, cap: 1, what: 'x' },
      redirects: 'refuse',
    });
    expect(sent.ok ? '' : sent.fault.code).toBe('link.no-anchors');
    expect(sent.ok ? '' : sent.fault.remedy).toContain('root tls add');
    expect(scripted.asked).toEqual([]);
  });
});

/** A CA, by its PEM text. */
function authority(name: string): PeerCertificate {
  return {
    raw: der(name),
    subject: name,
    issuer: name,
    notBefore: 0,
    notAfter: FLOOR * 2,
    ca: true,
    pathLength: null,
    keyUsage: null,
    extendedKeyUsage: null,
    unknownCritical: [],
    matches: () => true,
    signedBy: (issuer) => issuer.subject === name,
  };
}

/** What a server shows whose certificate `issuer` signed. */
function leaf(issuer: string): PeerCertificate {
  const signedBy = (by: PeerCertificate) => by.subject === issuer;
  return { ...authority('leaf'), issuer, ca: false, signedBy };
}

describe('a connection that stands', () => {
  const time = { floorMs: FLOOR, wallPlausible: true };
  for (const [what, issuer, made, now, stays] of [
    ['its CA is still there', A, { ca: A }, { ca: A + B }, true],
    ['its CA is gone', A, { ca: A + B }, { ca: B }, false],
    ['the system’s CA, and the root names another', OWN, {}, { addCa: A }, true],
    ['the system’s CA, and the root no longer names one', OWN, { addCa: A }, {}, true],
    ['the system’s CA, and the root takes its place', OWN, { addCa: A }, { ca: A }, false],
    ['the root’s CA beside the system’s, kept', A, { addCa: A }, { addCa: A + B }, true],
    ['the root’s CA beside the system’s, gone', A, { addCa: A }, { addCa: B }, false],
    ['the root’s CA becomes the only one', A, { addCa: A }, { ca: A }, true],
  ] as const) {
    test(`${what}: ${stays ? 'it stays' : 'it ends'}`, () => {
      const chain = [leaf(issuer)];
      const standing: Standing = { chain, name: 'broker', time, made, now };
      expect(stillVouchedFor(certificates, standing).ok).toBe(stays);
    });
  }

  test('with a dead clock the system’s CAs never counted', () => {
    const dead = { floorMs: FLOOR, wallPlausible: false };
    const standing = { chain: [leaf(OWN)], name: 'broker', time: dead, made: {}, now: {} };
    expect(stillVouchedFor(certificates, standing).ok).toBe(false);
  });
});
