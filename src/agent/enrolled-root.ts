/**
 * The first root document of a device, from its hub. It is taken only where somebody vouches for its
 * digest: the token, the command line, or the person in front of the device. It never replaces one
 * that is there: roots go on by their chain alone (check 7).
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Platform } from '#platform/platform.ts';
import { readIfThere, replaceFile } from '#platform/replace-file.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { openRoot } from '#trust/root-chain.ts';
import { FILES, inEnrolled } from './enrolled.ts';

export interface RootInput {
  readonly platform: Pick<Platform, 'files'>;
  readonly stateDir: string;
  /** absolute: trust.root */
  readonly file: string;
  /** who vouches; null: the person is asked */
  readonly vouched: Digest | null;
  confirm(digest: Digest): Promise<boolean>;
}

export type RootOutcome =
  | { readonly kind: 'kept' | 'none' }
  | { readonly kind: 'written'; readonly digest: Digest; readonly fleet: string };

const ROOT_MODE = 0o644;

export function takeRoot(input: RootInput): Promise<Result<RootOutcome>> {
  return inEnrolled(input.platform, input.stateDir, async (hub) => {
    const there = input.platform.files.readFile(input.file, LIMITS.rootBytes);
    if (there.ok) return ok({ kind: 'kept' } as const);
    if (there.fault.code !== 'platform.missing') return there;
    const offered = readIfThere(hub, FILES.root, LIMITS.rootBytes);
    if (!offered.ok) return offered;
    if (offered.value === null || offered.value.length === 0) return ok({ kind: 'none' } as const);
    return take(input, offered.value);
  });
}

async function take(input: RootInput, bytes: Uint8Array): Promise<Result<RootOutcome>> {
  const digest = sha256(bytes);
  const { vouched } = input;
  if (vouched !== null && vouched !== digest) {
    return refuse('enroll.root-differs', { expected: vouched, found: digest });
  }
  const root = openRoot(bytes);
  if (!root.ok) return root;
  if (vouched === null && !(await input.confirm(digest))) {
    return refuse('enroll.root-unconfirmed', { digest });
  }
  const slash = input.file.lastIndexOf('/');
  const folder = input.platform.files.open(input.file.slice(0, slash) || '/', {
    create: 0o755,
    follow: true,
  });
  if (!folder.ok) return folder;
  const written = replaceFile(folder.value, input.file.slice(slash + 1), bytes, ROOT_MODE);
  folder.value.close();
  return written.ok ? ok({ kind: 'written', digest, fleet: root.value.fleet }) : written;
}
