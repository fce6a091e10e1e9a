/**
 * The TLS part of a root document: its bytes ↔ `TlsTrust`. Form only: a certificate is one whole DER
 * value here, and what is in it is read by those who use it (link/root-anchors.ts), so that no
 * certificate ever keeps a device from taking a root. One that stands twice is refused.
 */
import { sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import type { TlsTrust } from '#state/root.ts';
import type { FieldCheck } from './field-check.ts';
import type { TlsTrust as ProtoTlsTrust } from './generated/holdfast_pb.ts';
import { hasControl } from './text.ts';

const COMMENT_MAX = 255;
const DER_SEQUENCE = 0x30;

export function readTlsTrust(check: FieldCheck, from: ProtoTlsTrust | undefined): TlsTrust | null {
  if (from === undefined) return null;
  const { anchors, replacesConfigured } = from;
  const { tlsAnchorsMax, tlsAnchorsBytes } = LIMITS;
  check.require(
    anchors.length <= tlsAnchorsMax,
    'tls.anchors',
    `${anchors.length} of them; at most ${tlsAnchorsMax}`,
  );
  const bytes = anchors.reduce((sum, { certificate }) => sum + certificate.length, 0);
  check.require(
    bytes <= tlsAnchorsBytes,
    'tls.anchors',
    `${bytes} bytes together; at most ${tlsAnchorsBytes}`,
  );
  const read = anchors.slice(0, tlsAnchorsMax).map(({ certificate, notAfter, comment }, index) => {
    const at = `tls.anchors[${index}]`;
    check.require(isOneSequence(certificate), `${at}.certificate`, 'it is no certificate in DER');
    check.require(
      comment.length <= COMMENT_MAX && !hasControl(comment),
      `${at}.comment`,
      `it is longer than ${COMMENT_MAX} characters, or has controls`,
    );
    return { certificate, notAfter: check.time(`${at}.not_after`, notAfter), comment };
  });
  check.distinct(
    'tls.anchors.certificate',
    read.map(({ certificate }) => sha256(certificate)),
  );
  return { anchors: read, replacesConfigured };
}

export function writeTlsTrust({ anchors, replacesConfigured }: TlsTrust) {
  return {
    anchors: anchors.map(({ certificate, notAfter, comment }) => ({
      certificate,
      notAfter: BigInt(notAfter),
      comment,
    })),
    replacesConfigured,
  };
}

/** X.690 section 8.1.3: a definite length, in the fewest bytes, that ends with the value. */
function isOneSequence(der: Uint8Array): boolean {
  const [tag, first = 0x80] = der;
  if (tag !== DER_SEQUENCE) return false;
  if (first < 0x80) return der.length === 2 + first;
  const digits = der.subarray(2, 2 + (first & 0x7f));
  if (digits.length === 0 || digits.length > 3 || digits[0] === 0) return false;
  const length = digits.reduce((sum, digit) => sum * 256 + digit, 0);
  return length >= 0x80 && der.length === 2 + digits.length + length;
}
