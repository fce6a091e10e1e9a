/**
 * HTTP message signatures, as much as the older dialects of Margo use (RFC 9421, RFC 9530; MARGO.md
 * section 10): what is signed, text for text, and the fields that carry it. Of the components of a
 * request those without parameters; anything else makes a signature unreadable, never half read.
 * Keys and their arithmetic are platform/message-keys.ts.
 */
import { digestToBytes, sha256 } from '#state/digest.ts';
import { type BareItem, readDictionary, writeItem, writeParameters } from './structured-fields.ts';

export interface HttpSignature {
  /** the names of what is signed, in order: `@method`, `content-digest` */
  readonly covered: readonly string[];
  /** the value of `@signature-params`: covered names and all parameters */
  readonly params: string;
  /** Unix s */
  readonly created: number | null;
  readonly expires: number | null;
  /** null: not said, the key's own */
  readonly algorithm: string | null;
  readonly signature: Uint8Array;
}

/** The request that was sent, as either end sees it. */
export interface SignedMessage {
  readonly method: string;
  /** with scheme and authority */
  readonly url: string;
  /** names in lower case */
  readonly headers: Readonly<Record<string, string>>;
}

const LABEL = 'sig1';
const SIGNATURES_MAX = 4;
/** a field's name */
const FIELD = /^[a-z0-9!#$%&'*+.^_`|~-]+$/;

/** What a client of Margo signs: the digest where there is a body. */
export function coveredBy(body: boolean): readonly string[] {
  return ['@method', '@target-uri', '@authority', ...(body ? ['content-digest'] : [])];
}

export interface SignatureParameters {
  /** Unix s */
  readonly created: number;
  readonly keyid: string;
  readonly algorithm: string;
}

/** The value of `@signature-params`. */
export function signatureParams(covered: readonly string[], of: SignatureParameters): string {
  const parameters = new Map<string, BareItem>([
    ['created', { kind: 'integer', value: of.created }],
    ['keyid', { kind: 'string', value: of.keyid }],
    ['alg', { kind: 'string', value: of.algorithm }],
  ]);
  return `${listOf(covered)}${writeParameters(parameters)}`;
}

/** The two fields of one signature. */
export function signatureFields(
  params: string,
  signature: Uint8Array,
): { readonly 'signature-input': string; readonly signature: string } {
  const bytes = writeItem({ kind: 'bytes', value: signature });
  return { 'signature-input': `${LABEL}=${params}`, signature: `${LABEL}=${bytes}` };
}

/**
 * The bytes that are signed (RFC 9421 section 2.5), without a final line end.
 * @returns null when a covered component is unknown, twice there, or not in the message
 */
export function signatureBase(
  covered: readonly string[],
  params: string,
  value: (name: string) => string | null,
): Uint8Array | null {
  if (new Set(covered).size !== covered.length) return null;
  const lines: string[] = [];
  for (const name of covered) {
    const found = value(name);
    // A line end within a value would be a line of its own, which nobody has signed as such.
    if (found === null || /[\r\n]/.test(found)) return null;
    lines.push(`"${name}": ${found}`);
  }
  return new Uint8Array(Buffer.from([...lines, `"@signature-params": ${params}`].join('\n')));
}

/** @see RFC 9421 section 2.2 for derived components, 2.1 for fields */
export function componentsOf({ method, url, headers }: SignedMessage) {
  const to = URL.canParse(url) ? new URL(url) : null;
  return (name: string): string | null => {
    switch (name) {
      case '@method':
        return method;
      case '@target-uri':
        return url;
      case '@authority':
        return to?.host ?? null;
      case '@scheme':
        return to?.protocol.slice(0, -1) ?? null;
      case '@request-target':
        return to && `${to.pathname}${to.search}`;
      case '@path':
        return to?.pathname ?? null;
      case '@query':
        return to && (to.search === '' ? '?' : to.search);
    }
    if (!FIELD.test(name) || !Object.hasOwn(headers, name)) return null;
    return headers[name]?.trim() ?? null;
  };
}

/** Null: the fields do not read, do not belong together, or are too many. */
export function readSignatures(headers: SignedMessage['headers']): readonly HttpSignature[] | null {
  const inputs = readDictionary(headers['signature-input'] ?? '');
  const values = readDictionary(headers.signature ?? '');
  if (!inputs || !values || inputs.size === 0 || inputs.size > SIGNATURES_MAX) return null;
  const signatures: HttpSignature[] = [];
  for (const [label, { list, parameters }] of inputs) {
    const value = values.get(label)?.item;
    if (list === null || value?.kind !== 'bytes') return null;
    const covered: string[] = [];
    for (const { item, parameters: own } of list) {
      if (item.kind !== 'string' || own.size > 0) return null;
      covered.push(item.value);
    }
    const of = (name: string) => parameters.get(name);
    const [created, expires, algorithm] = [of('created'), of('expires'), of('alg')];
    if (created && created.kind !== 'integer') return null;
    if (expires && expires.kind !== 'integer') return null;
    if (algorithm && algorithm.kind !== 'string') return null;
    signatures.push({
      ...{ covered, params: `${listOf(covered)}${writeParameters(parameters)}` },
      ...{ created: created?.value ?? null, expires: expires?.value ?? null },
      ...{ algorithm: algorithm?.value ?? null, signature: value.value },
    });
  }
  return signatures;
}

/** @see RFC 9530 section 2 */
export function contentDigest(body: Uint8Array): string {
  const value = digestToBytes(sha256(body));
  return `sha-256=${writeItem({ kind: 'bytes', value })}`;
}

/** Of other algorithms nothing is said; without SHA-256 nothing is proven. */
export function fitsContentDigest(header: string, body: Uint8Array): boolean {
  const item = readDictionary(header)?.get('sha-256')?.item;
  if (item?.kind !== 'bytes') return false;
  return Buffer.from(item.value).equals(digestToBytes(sha256(body)));
}

function listOf(covered: readonly string[]): string {
  return `(${covered.map((value) => writeItem({ kind: 'string', value })).join(' ')})`;
}
