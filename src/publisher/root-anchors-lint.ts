/**
 * What changes of the TLS anchors from one root to the next, and what strands devices: they take the
 * next root over a connection that the former anchors have to vouch for.
 */
import type { Platform } from '#platform/platform.ts';
import type { Root, TlsAnchor, TlsTrust } from '#state/root.ts';
import { anchorsByName, certificateOf, fingerprintOf } from './root-anchors.ts';
import type { Draft } from './root-draft.ts';
import { instantOrNever } from './root-time.ts';

const SOON_MS = 30 * 24 * 3_600_000;
const FINGERPRINT_DIGITS = 16;

export interface AnchorChange {
  readonly kind: 'added' | 'removed' | 'changed';
  readonly what: 'ca' | 'tls';
  readonly name: string;
  readonly detail: string;
}

/** By certificate: one that only changed its name is the same CA. */
export function anchorChanges(
  before: Pick<Root, 'tls'>,
  after: Pick<Root, 'tls'>,
): readonly AnchorChange[] {
  const changes: AnchorChange[] = [];
  if (replaces(before) !== replaces(after)) {
    const detail = replaces(after)
      ? 'these CAs count instead of those that devices have in tls.ca'
      : 'these CAs count beside those that devices have in tls.ca';
    changes.push({ kind: 'changed', what: 'tls', name: '', detail });
  }
  const [former, next] = [byFingerprint(before), byFingerprint(after)];
  for (const [fingerprint, { name, anchor }] of next) {
    const was = former.get(fingerprint);
    if (!was) changes.push({ kind: 'added', what: 'ca', name, detail: anchorText(anchor) });
    else if (was.anchor.notAfter !== anchor.notAfter) {
      const ends = [was.anchor.notAfter, anchor.notAfter].map(endText).join(' → ');
      changes.push({ kind: 'changed', what: 'ca', name, detail: ends });
    }
  }
  for (const [fingerprint, { name, anchor }] of former) {
    if (next.has(fingerprint)) continue;
    changes.push({ kind: 'removed', what: 'ca', name, detail: anchorText(anchor) });
  }
  return changes;
}

/** Null: it can be signed. */
export function whyAnchorsUnfit({ tls }: Pick<Draft, 'tls'>, nowMs: number): string | null {
  if (!tls?.replacesConfigured) return null;
  const inForce = tls.anchors.some(({ notAfter }) => notAfter === 0 || notAfter > nowMs);
  return inForce ? null : 'its CAs count instead of those in tls.ca, and none of them is in force';
}

/** Lines for people. @param before  the root that devices hold */
export function anchorRemarks(
  platform: Pick<Platform, 'certificates'>,
  draft: Pick<Draft, 'tls'>,
  before: Pick<Root, 'tls'>,
  nowMs: number,
): readonly string[] {
  return [
    ...[...anchorsByName(draft.tls)].flatMap(([name, anchor]) =>
      remarksOn(certificateOf(platform, anchor), name, anchor, nowMs),
    ),
    ...noOverlap(draft, before),
  ];
}

function remarksOn(
  certificate: ReturnType<typeof certificateOf>,
  name: string,
  { notAfter }: TlsAnchor,
  nowMs: number,
): readonly string[] {
  if (certificate === null) {
    return [`${name} cannot be read as a certificate: devices pass it over`];
  }
  const ends = [notAfter, certificate.notAfter].filter((ms) => ms !== 0);
  const end = Math.min(...ends);
  const { keyUsage } = certificate;
  const signs = certificate.ca && (keyUsage === null || keyUsage.keyCertSign);
  return [
    ...(signs
      ? []
      : [`${name} is no CA: it vouches for a server that shows this very certificate`]),
    ...(end <= nowMs
      ? [`${name} ended ${instantOrNever(end)}: no connection counts on it`]
      : end - nowMs < SOON_MS
        ? [`${name} ends ${instantOrNever(end)}: less than 30 days to bring the next one`]
        : []),
  ];
}

/** The step that brings a CA takes none away: in between, servers change their certificates. */
function noOverlap(draft: Pick<Draft, 'tls'>, before: Pick<Root, 'tls'>): readonly string[] {
  const [former, next] = [byFingerprint(before), byFingerprint(draft)];
  const gone = [...former].filter(([print]) => !next.has(print)).map(([, { name }]) => name);
  const come = [...next].filter(([print]) => !former.has(print)).map(([, { name }]) => name);
  const remarks: string[] = [];
  if (gone.length > 0) {
    remarks.push(
      come.length > 0
        ? `no overlap: ${gone.join(', ')} goes in the step that brings ${come.join(', ')}, so servers and devices would have to change at one moment; publish a root with both first`
        : `${gone.join(', ')} goes: a server that still shows a certificate of it is not trusted any more`,
    );
  }
  if (replaces(draft) && !replaces(before)) {
    remarks.push(
      come.length > 0
        ? `no overlap: the CAs in tls.ca stop counting in the step that brings ${come.join(', ')}; publish it beside them first`
        : 'the CAs in tls.ca of devices stop counting: a server that still shows a certificate of them is not trusted any more',
    );
  }
  return remarks;
}

function replaces({ tls }: { readonly tls: TlsTrust | null }): boolean {
  return tls?.replacesConfigured ?? false;
}

function byFingerprint({ tls }: { readonly tls: TlsTrust | null }) {
  return new Map(
    [...anchorsByName(tls)].map(([name, anchor]) => [fingerprintOf(anchor), { name, anchor }]),
  );
}

function anchorText(anchor: TlsAnchor): string {
  const print = fingerprintOf(anchor).slice(0, FINGERPRINT_DIGITS);
  return `certificate ${print}, ${endText(anchor.notAfter)}`;
}

function endText(notAfter: number): string {
  return notAfter === 0 ? 'ends with its certificate' : `ends ${instantOrNever(notAfter)}`;
}
