/**
 * X.509 certificates as link/peer.ts judges them. Names, dates, issuer and signatures are read by
 * the runtime (node:crypto); key usage, extended key usage and unknown critical extensions, which
 * it does not show, are read here from the DER.
 * @see RFC 5280 section 4.2
 */
import { X509Certificate } from 'node:crypto';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { PeerCertificate } from '#platform/tls.ts';
import { type Der, oidText, readDer, TAG } from './der.ts';

/** certificates in one PEM text: the anchors of a fleet, not of the world */
const CERTIFICATES_MAX = 256;
/** bytes of one certificate */
const CERTIFICATE_MAX = 64 * 1024;

const OID = {
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  extendedKeyUsage: '2.5.29.37',
} as const;

/** What is judged here or by link/peer.ts; anything else that is critical is unknown. */
const KNOWN: ReadonlySet<string> = new Set(Object.values(OID));

/** the context tag of a URI among alternative names */
const URI = 0x86;

const PEM = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;

export function parseCertificates(pem: string): Result<readonly PeerCertificate[]> {
  const blocks = pem.match(PEM) ?? [];
  if (blocks.length === 0) return refuse('config.certificate', { reason: 'it holds none in PEM' });
  if (blocks.length > CERTIFICATES_MAX) {
    return refuse('config.certificate', { reason: `it holds more than ${CERTIFICATES_MAX}` });
  }
  const found: PeerCertificate[] = [];
  for (const [index, block] of blocks.entries()) {
    const certificate = certificateOf(block);
    if (certificate === null) {
      return refuse('config.certificate', { reason: `number ${index + 1} in it is damaged` });
    }
    found.push(certificate);
  }
  return ok(found);
}

/** @param encoded  DER or PEM; null when it is no certificate, or one with extensions that are none */
export function certificateOf(encoded: Uint8Array | string): PeerCertificate | null {
  if (encoded.length > CERTIFICATE_MAX) return null;
  try {
    const parsed = new X509Certificate(encoded);
    const extensions = extensionsOf(parsed.raw);
    return extensions === null ? null : peerCertificate(parsed, extensions);
  } catch {
    return null;
  }
}

/** certificates made here by what the runtime parsed: signedBy needs the issuer's */
const parsedOf = new WeakMap<PeerCertificate, X509Certificate>();

function peerCertificate(parsed: X509Certificate, extensions: Extensions): PeerCertificate {
  const certificate: PeerCertificate = {
    raw: new Uint8Array(parsed.raw),
    subject: parsed.subject,
    issuer: parsed.issuer,
    notBefore: Date.parse(parsed.validFrom),
    notAfter: Date.parse(parsed.validTo),
    ca: parsed.ca,
    ...extensions,
    matches: (name) => matches(parsed, name),
    signedBy(issuer) {
      const other = parsedOf.get(issuer) ?? new X509Certificate(issuer.raw);
      try {
        return parsed.checkIssued(other) && parsed.verify(other.publicKey);
      } catch {
        return false;
      }
    },
  };
  parsedOf.set(certificate, parsed);
  return certificate;
}

/** RFC 6125: alternative names alone; a common name has not been a name for twenty years. */
function matches(parsed: X509Certificate, name: string): boolean {
  try {
    if (/^[\d.]+$/.test(name) || name.includes(':')) return parsed.checkIP(name) !== undefined;
    return (
      parsed.checkHost(name, { subject: 'never', partialWildcards: false, wildcards: true }) !==
      undefined
    );
  } catch {
    return false;
  }
}

type Extensions = Pick<
  PeerCertificate,
  'pathLength' | 'keyUsage' | 'extendedKeyUsage' | 'unknownCritical' | 'svid'
>;

/** Null when the DER is not what RFC 5280 section 4.1 says, or an extension stands there twice. */
function extensionsOf(raw: Uint8Array): Extensions | null {
  const list = extensionList(raw);
  if (list === null) return null;
  const byOid = new Map<string, Uint8Array>();
  const unknownCritical: string[] = [];
  for (const item of list) {
    const extension = extensionOf(item);
    if (extension === null || byOid.has(extension.oid)) return null;
    const { oid, critical, value } = extension;
    byOid.set(oid, value);
    if (critical && !KNOWN.has(oid)) unknownCritical.push(oid);
  }
  const usage = byOid.get(OID.keyUsage);
  const purposes = byOid.get(OID.extendedKeyUsage);
  const constraints = byOid.get(OID.basicConstraints);
  const keyUsage = usage === undefined ? null : readKeyUsage(usage);
  const extendedKeyUsage = purposes === undefined ? null : readOids(purposes);
  const names = byOid.get(OID.subjectAltName);
  const uris = names === undefined ? [] : readUris(names);
  const pathLength = constraints === undefined ? null : readPathLength(constraints);
  // An extension that is there and cannot be read must not count as one that is not there.
  if (usage !== undefined && keyUsage === null) return null;
  if (purposes !== undefined && extendedKeyUsage === null) return null;
  if (pathLength === 'unreadable' || uris === null) return null;
  return {
    pathLength,
    keyUsage,
    extendedKeyUsage,
    unknownCritical,
    svid: {
      uris,
      signsLists: usage !== undefined && bit(usage, 0x02),
      saysCa: constraints !== undefined && saysCa(constraints),
    },
  };
}

/** The members of `extensions [3]` of the TBSCertificate; none: an empty list. */
function extensionList(raw: Uint8Array): readonly Der[] | null {
  const certificate = readDer(raw)?.[0];
  const tbs = certificate && readDer(certificate.content)?.[0];
  const fields = tbs && readDer(tbs.content);
  if (!fields) return null;
  const explicit = fields.find(({ tag }) => tag === 0xa3);
  if (explicit === undefined) return [];
  const sequence = readDer(explicit.content)?.[0];
  return sequence?.tag === TAG.sequence ? readDer(sequence.content) : null;
}

/** Extension ::= SEQUENCE { extnID OID, critical BOOLEAN DEFAULT FALSE, extnValue OCTET STRING } */
function extensionOf(item: Der): {
  readonly oid: string;
  readonly critical: boolean;
  readonly value: Uint8Array;
} | null {
  const parts = readDer(item.content);
  const [id, second, third] = parts ?? [];
  if (item.tag !== TAG.sequence || id?.tag !== TAG.oid || second === undefined) return null;
  const critical = second.tag === TAG.boolean && second.content[0] !== 0;
  const value = second.tag === TAG.boolean ? third : second;
  if (value?.tag !== TAG.octetString) return null;
  return { oid: oidText(id.content), critical, value: value.content };
}

/** A BIT STRING: the first content byte counts unused bits, bit 0 is the highest of the next. */
function readKeyUsage(value: Uint8Array): Extensions['keyUsage'] {
  const bits = readDer(value)?.[0];
  if (bits?.tag !== TAG.bitString || bits.content.length < 2) return null;
  const first = bits.content[1] ?? 0;
  return { digitalSignature: (first & 0x80) !== 0, keyCertSign: (first & 0x04) !== 0 };
}

/** A bit of the first byte of a key usage that was readable. */
function bit(value: Uint8Array, mask: number): boolean {
  return ((readDer(value)?.[0]?.content[1] ?? 0) & mask) !== 0;
}

/** `cA` as it stands there: the runtime's own answer also looks at what the key may sign. */
function saysCa(value: Uint8Array): boolean {
  const items = readDer(readDer(value)?.[0]?.content ?? new Uint8Array()) ?? [];
  return items.some(({ tag, content }) => tag === TAG.boolean && content[0] !== 0);
}

/** GeneralNames ::= SEQUENCE OF; uniformResourceIdentifier is [6] IA5String. */
function readUris(value: Uint8Array): readonly string[] | null {
  const sequence = readDer(value)?.[0];
  const names = sequence?.tag === TAG.sequence ? readDer(sequence.content) : null;
  if (names === null) return null;
  return names
    .filter(({ tag }) => tag === URI)
    .map(({ content }) => Buffer.from(content).toString('latin1'));
}

/** BasicConstraints ::= SEQUENCE { cA BOOLEAN DEFAULT FALSE, pathLenConstraint INTEGER OPTIONAL } */
function readPathLength(value: Uint8Array): number | null | 'unreadable' {
  const sequence = readDer(value)?.[0];
  const items = sequence?.tag === TAG.sequence ? readDer(sequence.content) : null;
  if (items === null) return 'unreadable';
  const bound = items.find(({ tag }) => tag === TAG.integer);
  if (bound === undefined) return null;
  // More than one byte is a bound that no chain here comes near; a negative one is none at all.
  if (bound.content.length !== 1) return bound.content.length === 0 ? 'unreadable' : 127;
  const length = bound.content[0] ?? 0;
  return length < 0x80 ? length : 'unreadable';
}

function readOids(value: Uint8Array): readonly string[] | null {
  const sequence = readDer(value)?.[0];
  const items = sequence?.tag === TAG.sequence ? readDer(sequence.content) : null;
  if (!items?.every(({ tag }) => tag === TAG.oid)) return null;
  return items.map(({ content }) => oidText(content));
}
