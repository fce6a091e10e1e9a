/**
 * A single file at its target: a hidden sibling written from the pristine blob, fsynced, renamed
 * over the target (DESIGN section 6). One fsync here, one for the directory by the caller; nothing
 * but the sibling is written.
 */
import {
  fingerprint,
  hashOf,
  settled,
  stageFile,
  statDiffers,
  type WantedFile,
} from '#apply/stage.ts';
import { ok, type Result } from '#errors/fault.ts';
import type { Directory } from '#platform/files.ts';
import { type FilesEnv, type FilesTarget, siblingName } from './files-env.ts';
import { keepOrigin, occupied } from './files-origin.ts';

function wanted({ blob, component, owner }: FilesTarget): WantedFile {
  return { blob, mode: component.mode, owner };
}

/** Null: in force. Else what was found. The hash of an untouched file is remembered. */
export async function fileDiffers(
  env: FilesEnv,
  at: FilesTarget,
  depth: 'stat' | 'hash',
): Promise<Result<string | null>> {
  const entry = at.parent.stat(at.name);
  if (!entry.ok) return entry;
  if (!entry.value) return ok('missing');
  if (at.component.once) return ok(null);
  const want = wanted(at);
  const wrong = statDiffers(entry.value, want, env.processes.self);
  if (wrong !== null) return ok(wrong);
  const stat = fingerprint(entry.value);
  const held = env.hashed.get(at.target);
  if (depth === 'stat' && held?.want === want.blob.digest && held.stat === stat) return ok(null);
  env.hashed.delete(at.target);
  const same = await sameBytes(env, at.parent, at.name, want);
  if (!same.ok || !same.value) return same.ok ? ok('other bytes') : same;
  const after = at.parent.stat(at.name);
  const still = after.ok && after.value !== null && fingerprint(after.value) === stat;
  if (still && settled(entry.value, env.clock)) {
    env.hashed.set(at.target, { want: want.blob.digest, stat });
  }
  return ok(null);
}

async function sameBytes(
  env: FilesEnv,
  directory: Directory,
  name: string,
  want: WantedFile,
): Promise<Result<boolean>> {
  const found = await hashOf(directory, name, want.blob.size, env.tools.spend);
  if (found.ok) return ok(found.value === want.blob.digest);
  // Gone, or no file any more, since its stat was read.
  return found.fault.code === 'platform.io' ? found : ok(false);
}

/** Writes the sibling, where the target is not in force already. */
export async function prepareFile(env: FilesEnv, at: FilesTarget): Promise<Result<void>> {
  const entry = at.parent.stat(at.name);
  if (!entry.ok) return entry;
  if (entry.value && at.component.once) return ok(undefined);
  if (entry.value?.kind === 'directory') return occupied(at, 'a directory');
  if (entry.value?.kind === 'other') return occupied(at, 'a device, socket or pipe');
  const wrong = await fileDiffers(env, at, 'stat');
  if (!wrong.ok || wrong.value === null) return wrong.ok ? ok(undefined) : wrong;
  const noted = env.rules.places.add(at.id, 'shelf', at.parent.path);
  if (!noted.ok) return noted;
  const staged = await stagedSibling(env, at);
  if (!staged.ok) return staged;
  // Left by a run that was cut, its bytes may not have reached the disk.
  return staged.value === 'found' ? at.parent.syncEntry(siblingName(at)) : ok(undefined);
}

/** Check 18: a sibling that is there is hashed again; a wrong one is written anew. */
async function stagedSibling(env: FilesEnv, at: FilesTarget): Promise<Result<'found' | 'written'>> {
  const name = siblingName(at);
  const want = wanted(at);
  const entry = at.parent.stat(name);
  if (!entry.ok) return entry;
  if (entry.value && statDiffers(entry.value, want, env.processes.self) === null) {
    const same = await sameBytes(env, at.parent, name, want);
    if (!same.ok) return same;
    if (same.value) return ok('found');
  }
  if (entry.value) {
    const cleared = at.parent.removeTree(name);
    if (!cleared.ok) return cleared;
  }
  const staged = await stageFile(env.tools, at.parent, name, want);
  return staged.ok ? ok('written') : staged;
}

/** True when the target was replaced; the directory's fsync is the caller's. */
export async function placeFile(
  env: FilesEnv,
  at: FilesTarget,
  ours: boolean,
): Promise<Result<boolean>> {
  if (at.component.once) {
    const entry = at.parent.stat(at.name);
    if (!entry.ok || entry.value) return entry.ok ? ok(false) : entry;
  }
  const kept = await keepOrigin(env, at, ours);
  if (!kept.ok) return kept;
  const wrong = await fileDiffers(env, at, 'stat');
  if (!wrong.ok || wrong.value === null) return wrong.ok ? ok(false) : wrong;
  if (wrong.value.startsWith('a directory')) return occupied(at, 'a directory');
  const staged = await stagedSibling(env, at);
  if (!staged.ok) return staged;
  const renamed = at.parent.rename(siblingName(at), at.name);
  return renamed.ok ? ok(true) : renamed;
}

/** Whether a file written `once` was changed by the device since: then it is the device's own. */
export async function editedSince(env: FilesEnv, at: FilesTarget): Promise<Result<boolean>> {
  if (!at.component.once) return ok(false);
  const entry = at.parent.stat(at.name);
  if (!entry.ok) return entry;
  if (entry.value?.kind !== 'file') return ok(entry.value !== null);
  const same = await sameBytes(env, at.parent, at.name, wanted(at));
  return same.ok ? ok(!same.value) : same;
}
