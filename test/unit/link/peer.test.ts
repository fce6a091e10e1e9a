/** The chain of a TLS peer, judged without a clock (DESIGN section 5; L17, N08). */
import { describe, expect, test } from 'bun:test';
import { checkPeer } from '#link/peer.ts';
import type { PeerCertificate } from '#platform/tls.ts';

const FLOOR = Date.UTC(2026, 10, 23);
const YEAR = 365 * 24 * 3_600_000;
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
let serial = 0;

interface Made extends PeerCertificate {
  readonly signer: PeerCertificate | null;
}

/** A certificate whose signature is by `issuer`; whatever else is as the test says. */
function make(
  subject: string,
  issuer: PeerCertificate | null,
  changes: Partial<PeerCertificate> = {},
): Made {
  serial += 1;
  return {
    raw: new Uint8Array([serial]),
    subject,
    issuer: issuer?.subject ?? subject,
    notBefore: 0,
    notAfter: FLOOR + YEAR,
    ca: false,
    pathLength: null,
    keyUsage: { keyCertSign: false, digitalSignature: true },
    extendedKeyUsage: [SERVER_AUTH],
    unknownCritical: [],
    matches: (name) => name === 'registry.example',
    signer: issuer,
    signedBy(other) {
      return this.signer === null ? other.raw === this.raw : other.raw === this.signer.raw;
    },
    ...changes,
  };
}

function authority(
  subject: string,
  issuer: PeerCertificate | null,
  changes: Partial<PeerCertificate> = {},
): Made {
  const ca = { ca: true, keyUsage: { keyCertSign: true, digitalSignature: false } };
  return make(subject, issuer, { ...ca, extendedKeyUsage: null, ...changes });
}

const root = authority('Root', null);
const middle = authority('Middle', root);
const leaf = make('registry', middle);

function judge(
  chain: readonly PeerCertificate[],
  changes: Partial<Parameters<typeof checkPeer>[1]> = {},
): string {
  const rules = { anchors: [root], name: 'registry.example', floorMs: FLOOR, ...changes };
  const result = checkPeer(chain, rules);
  if (result.ok) return 'trusted';
  expect(result.fault.code).toBe('link.tls-untrusted');
  return result.fault.message;
}

describe('a chain that reaches an anchor is trusted', () => {
  test('through an intermediate, with or without the anchor in it, in any order', () => {
    expect(judge([leaf, middle])).toBe('trusted');
    expect(judge([leaf, middle, root])).toBe('trusted');
    expect(judge([leaf, root, middle])).toBe('trusted');
  });
  test('directly', () => expect(judge([make('registry', root)])).toBe('trusted'));
  test('over two intermediates: four certificates', () => {
    const lower = authority('Lower', middle);
    expect(judge([make('registry', lower), lower, middle])).toBe('trusted');
  });
  test('a leaf that is itself an anchor needs nobody else', () => {
    const own = make('registry', null);
    expect(judge([own], { anchors: [own] })).toBe('trusted');
  });
  test('notBefore is not judged: the floor is a lower bound', () => {
    const later = make('registry', middle, { notBefore: FLOOR + YEAR / 2 });
    expect(judge([later, middle])).toBe('trusted');
  });
  test('without key usage extensions', () => {
    const plain = make('registry', middle, { keyUsage: null, extendedKeyUsage: null });
    expect(judge([plain, middle])).toBe('trusted');
  });
  test('a look-alike issuer beside the right one does not hide it', () => {
    expect(judge([leaf, authority('Middle', null), middle])).toBe('trusted');
  });
});

describe('every other chain is refused', () => {
  const other = authority('Other', null);
  const lower = authority('Lower', middle);
  const lowest = authority('Lowest', lower);
  const pinned = authority('Pinned', root, { pathLength: 0 });
  const below = authority('Below', pinned);
  const noCa = make('NoCa', root, { keyUsage: { keyCertSign: true, digitalSignature: true } });
  const noSign = authority('NoSign', root, {
    keyUsage: { keyCertSign: false, digitalSignature: true },
  });
  const mail = authority('Mail', root, { extendedKeyUsage: ['1.3.6.1.5.5.7.3.4'] });
  const ended = authority('Ended', root, { notAfter: FLOOR - 1 });
  const odd = authority('Odd', root, { unknownCritical: ['2.5.29.30'] });
  for (const [what, chain, reason] of [
    ['no certificate', [], 'no certificate'],
    ['another CA', [make('registry', other), other], 'no anchor'],
    [
      'a CA of the same name that did not sign',
      [make('registry', authority('Root', null))],
      'no anchor',
    ],
    ['its intermediate is missing', [leaf], 'no anchor'],
    ['another name', [make('r', middle, { matches: () => false }), middle], 'another name'],
    [
      'it ended before the floor',
      [make('r', middle, { notAfter: FLOOR - 1 }), middle],
      'ended 2026',
    ],
    [
      'it ends at no time at all',
      [make('r', middle, { notAfter: Number.NaN }), middle],
      'ended at',
    ],
    ['the intermediate ended before the floor', [make('r', ended), ended], 'Ended ended'],
    ['a leaf without CA flag as issuer', [make('r', noCa), noCa], 'NoCa signed it but is no CA'],
    ['an issuer that may not sign certificates', [make('r', noSign), noSign], 'key usage'],
    ['an issuer for mail', [make('r', mail), mail], 'may not vouch for servers'],
    ['a path length of 0 with a CA below', [make('r', below), below, pinned], 'allows only 0'],
    ['five certificates', [make('r', lowest), lowest, lower, middle], 'longer than 4'],
    ['a critical extension that is not known', [make('r', odd), odd], '2.5.29.30'],
    [
      'a critical extension of the leaf that is not known',
      [make('r', middle, { unknownCritical: ['1.2.3'] }), middle],
      '1.2.3',
    ],
    [
      'a certificate for clients',
      [make('r', middle, { extendedKeyUsage: ['1.3.6.1.5.5.7.3.2'] }), middle],
      'not for servers',
    ],
    [
      'a key that may not sign',
      [make('r', middle, { keyUsage: { keyCertSign: false, digitalSignature: false } }), middle],
      'may not sign',
    ],
  ] as const) {
    test(what, () => expect(judge(chain)).toContain(reason));
  }

  test('no anchors are configured: nothing counts', () => {
    expect(judge([leaf, middle, root], { anchors: [] })).toContain('tls.ca');
  });

  test('an anchor that ended before the floor vouches for nobody', () => {
    const old = authority('Old', null, { notAfter: FLOOR - 1 });
    expect(judge([make('r', old)], { anchors: [old] })).toContain('Old ended');
  });

  test('names of certificates cannot spoil the message', () => {
    const evil = authority('Root\n\u202eevil', root, { notAfter: 0 });
    expect(judge([make('r', evil), evil])).not.toMatch(/[\n\u202e]/);
  });

  test('a chain of many look-alikes costs a bounded number of verifications', () => {
    let verified = 0;
    const cheap = Array.from({ length: 100 }, () => authority('X', null, { issuer: 'X' }));
    const counting = cheap.map((one) => ({
      ...one,
      signedBy: () => {
        verified += 1;
        return true;
      },
    }));
    const first = { ...make('registry', null, { issuer: 'X' }), signedBy: counting[0]!.signedBy };
    expect(judge([first, ...counting])).toContain('registry.example');
    expect(verified).toBeLessThanOrEqual(32);
  });
});
