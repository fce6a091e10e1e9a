/**
 * The trust bundle that a device judges its Margo manager by (MARGO.md section 9; M06–M08). The first
 * one is the owner's file, never fetched; a newer file of the owner, or what refreshing brought, takes
 * the place of the one before, anchor for anchor.
 *
 * Invariants: one whose `spiffe_sequence` is lower than the one held, or that has no anchor, changes
 * nothing; that holds over restarts, since what is in force is kept on disk. A file of the owner counts
 * when it changes: it never undoes a refresh just by lying there.
 */
import { type Fault, fault, ok, type Result, refuse, refused } from '#errors/fault.ts';
import { pemOf } from '#link/root-anchors.ts';
import type { Log } from '#platform/log.ts';
import type { Platform } from '#platform/platform.ts';
import { readIfThere, replaceFile } from '#platform/replace-file.ts';
import type { PeerCertificate } from '#platform/tls.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import { readTrustBundle, TRUST_BUNDLE_BYTES } from '#wire/trust-bundle.ts';
import { KEPT_BYTES, readKeptTrustBundle, writeKeptTrustBundle } from '#wire/trust-kept.ts';

export interface MargoAnchors {
  /** of the bundle in force; the owner's file is read again */
  current(): Result<AnchorSet>;
  /** What was fetched over a way that is trusted. False: it is the one in force. */
  take(bytes: Uint8Array, from: string): Result<boolean>;
}

export interface AnchorSet {
  readonly certificates: readonly PeerCertificate[];
  readonly sequence: number;
  /** seconds; null: it says none */
  readonly refreshHint: number | null;
}

export interface MargoAnchorsInput {
  readonly platform: Pick<Platform, 'certificates' | 'files'> & { readonly log: Log };
  /** path of the owner's file */
  readonly file: string;
  readonly stateDir: string;
}

interface Held extends AnchorSet {
  readonly digest: Digest;
  /** of the owner's file that was taken last */
  readonly owner: Digest;
}

const FOLDER = 'margo';
const NAME = 'trust-bundle.json';

export function margoAnchors(input: MargoAnchorsInput): MargoAnchors {
  const { platform, file } = input;
  let held = readKept(input);
  let told = '';
  const tell = (why: Fault): void => {
    if (told === why.message) return;
    told = why.message;
    platform.log.write('warn', 'margo.trust-bundle', { code: why.code, message: why.message });
  };
  return {
    current() {
      const owners = platform.files.readFile(file, TRUST_BUNDLE_BYTES);
      if (!owners.ok) {
        const why = fault('margo.trust-bundle', { file, reason: owners.fault.message });
        tell(why);
        return held ? ok(held) : refused(why);
      }
      const digest = sha256(owners.value);
      if (held?.owner === digest) return ok(held);
      const read = newer(input, owners.value, { held, from: file });
      if (!read.ok) {
        tell(read.fault);
        return held ? ok(held) : read;
      }
      held = { ...read.value, owner: digest };
      // What the owner says counts also on a disk that is full; then it is read again at the next start.
      const kept = keep(input, owners.value, digest);
      if (!kept.ok) tell(kept.fault);
      return ok(held);
    },
    take(bytes, from) {
      if (!held)
        return refuse('margo.trust-bundle', { file, reason: 'there is none to begin with' });
      if (held.digest === sha256(bytes)) return ok(false);
      const read = newer(input, bytes, { held, from });
      if (!read.ok) return read;
      const kept = keep(input, bytes, held.owner);
      if (!kept.ok) return kept;
      held = { ...read.value, owner: held.owner };
      return ok(true);
    },
  };
}

/** Never merged: the whole set of it, or nothing. */
function newer(
  { platform }: Pick<MargoAnchorsInput, 'platform'>,
  bytes: Uint8Array,
  { held, from }: { readonly held: Held | null; readonly from: string },
): Result<Omit<Held, 'owner'>> {
  const no = (reason: string) => refuse('margo.trust-bundle', { file: from, reason });
  const bundle = readTrustBundle(bytes, from);
  if (!bundle.ok) return bundle;
  const { sequence, refreshHint } = bundle.value;
  if (held && (sequence ?? 0) < held.sequence) {
    return no(`its spiffe_sequence ${sequence ?? 'is missing, which'} is below ${held.sequence}`);
  }
  const certificates = platform.certificates(bundle.value.anchors.map(pemOf).join(''));
  if (!certificates.ok) return no(certificates.fault.message);
  const digest = sha256(bytes);
  return ok({ certificates: certificates.value, sequence: sequence ?? 0, refreshHint, digest });
}

function readKept(input: MargoAnchorsInput): Held | null {
  const folder = input.platform.files.open(`${input.stateDir}/${FOLDER}`);
  if (!folder.ok) return null;
  const bytes = readIfThere(folder.value, NAME, KEPT_BYTES);
  folder.value.close();
  const kept = bytes.ok && bytes.value ? readKeptTrustBundle(bytes.value) : null;
  if (!kept) return null;
  const read = newer(input, kept.bundle, { held: null, from: 'the kept trust bundle' });
  return read.ok ? { ...read.value, owner: kept.owner } : null;
}

function keep(
  { platform, stateDir }: MargoAnchorsInput,
  bundle: Uint8Array,
  owner: Digest,
): Result<void> {
  const folder = platform.files.open(`${stateDir}/${FOLDER}`, { create: 0o700 });
  if (!folder.ok) return folder;
  const kept = replaceFile(folder.value, NAME, writeKeptTrustBundle({ owner, bundle }));
  folder.value.close();
  return kept.ok ? ok() : kept;
}
