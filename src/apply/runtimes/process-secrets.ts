/**
 * Values that a program gets when it starts: texts for its environment, and files that hold one value
 * each, `runDir/secrets/<deployment>/<component>/<variable>`, 0600 and the program's own. Files stand
 * on tmpfs only: nothing of them survives the machine being off. They are written anew before each
 * start and go away with the deployment.
 */
import { folderOf } from '#apply/folder-name.ts';
import type { Secrets } from '#apply/secrets.ts';
import type { Ownership } from '#apply/stage.ts';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Directory, Files } from '#platform/files.ts';
import { mountOf, readMounts } from '#platform/mount-table.ts';
import type { ProcessComponent } from '#state/deployment.ts';
import type { Generation } from '#state/generation.ts';

const FOLDER = 'secrets';
/** others may pass through, not look */
const FOLDER_MODE = 0o711;
const FILE_MODE = 0o600;
const VOLATILE = new Set(['tmpfs', 'ramfs']);

export interface ProgramSecrets {
  /** All that is sealed opens, and files of values have a place: before anything is accepted. */
  check(generation: Generation): Result<void>;
  /** The generation with every value as text, for one start. */
  opened(generation: Generation): Result<Generation>;
  /**
   * Writes the files of this program.
   * @param from  of `opened`
   * @returns variable → path
   */
  write(
    from: Generation,
    component: ProcessComponent,
    owner: Ownership | null,
  ): Result<Readonly<Record<string, string>>>;
  /** The deployment has ended. */
  clear(id: string): Result<void>;
}

export function programSecrets(files: Files, runDir: string, secrets: Secrets): ProgramSecrets {
  const opened = (generation: Generation) => openAll(secrets, generation);
  return {
    opened,
    check(generation) {
      const open = opened(generation);
      if (!open.ok || !wantsFiles(generation)) return open.ok ? ok(undefined) : open;
      const found = fileSystemOf(files, runDir);
      if (found !== null && VOLATILE.has(found)) return ok(undefined);
      const { id: deployment } = generation;
      const text = found ?? 'a file system that cannot be told';
      return refuse('values.not-volatile', { deployment, runDir, found: text });
    },
    write: (from, component, owner) => writeFiles(files, runDir, { from, component, owner }),
    clear: (id) => removeBelow(files, `${runDir}/${FOLDER}`, id),
  };
}

function removeBelow(files: Files, path: string, name: string): Result<void> {
  const folder = files.open(path, { follow: true });
  if (!folder.ok) return folder.fault.code === 'platform.missing' ? ok(undefined) : folder;
  const removed = folder.value.removeTree(folderOf(name));
  folder.value.close();
  return removed;
}

function openAll(secrets: Secrets, generation: Generation): Result<Generation> {
  if (!generation.secrets) return ok(generation);
  const values = new Map(generation.values);
  for (const [parameter, secret] of generation.secrets) {
    const text = secrets.open(secret);
    if (!text.ok) return text;
    values.set(parameter, text.value);
  }
  return ok({ ...generation, values });
}

interface Wanted {
  readonly from: Generation;
  readonly component: ProcessComponent;
  readonly owner: Ownership | null;
}

function writeFiles(
  files: Files,
  runDir: string,
  { from, component, owner }: Wanted,
): Result<Readonly<Record<string, string>>> {
  const path = [FOLDER, folderOf(from.id), folderOf(component.name)];
  const cleared = removeBelow(files, `${runDir}/${FOLDER}/${folderOf(from.id)}`, component.name);
  const wanted = fileTargets(from, component);
  if (!cleared.ok || wanted.length === 0) return cleared.ok ? ok({}) : cleared;
  const folder = openFolder(files, runDir, path);
  if (!folder.ok) return folder;
  const written: Record<string, string> = {};
  try {
    for (const { pointer, text } of wanted) {
      const done = writeOne(folder.value, pointer, { text, owner });
      if (!done.ok) return done;
      written[pointer] = `${runDir}/${path.join('/')}/${pointer}`;
    }
    return ok(written);
  } finally {
    folder.value.close();
  }
}

/** Nobody sees a part of it, and nobody but its owner any of it, at any time. */
function writeOne(
  folder: Directory,
  name: string,
  { text, owner }: { readonly text: string; readonly owner: Ownership | null },
): Result<void> {
  const temporary = `.${name}.new`;
  const cleared = folder.removeTree(temporary);
  if (!cleared.ok) return cleared;
  const file = folder.create(temporary, FILE_MODE);
  if (!file.ok) return file;
  const wrote = file.value.write(Buffer.from(text));
  const owned = wrote.ok && owner ? file.value.chown(owner.uid, owner.gid) : wrote;
  file.value.close();
  return owned.ok ? folder.rename(temporary, name) : owned;
}

function openFolder(files: Files, runDir: string, path: readonly string[]): Result<Directory> {
  let at = files.open(runDir, { follow: true });
  for (const name of path) {
    if (!at.ok) return at;
    const next = at.value.directory(name, { create: FOLDER_MODE });
    at.value.close();
    at = next;
  }
  return at;
}

function wantsFiles(generation: Generation): boolean {
  const { profile } = generation.deployment;
  if (profile.kind !== 'process') return false;
  return profile.components.some((one) => fileTargets(generation, one).length > 0);
}

function fileTargets(
  { deployment, values, secrets }: Generation,
  { name: component }: ProcessComponent,
): readonly { readonly pointer: string; readonly text: string }[] {
  return deployment.parameters.flatMap(({ name, targets }) => {
    const text = values.get(name);
    if (text === undefined && !secrets?.has(name)) return [];
    return targets
      .filter(({ as, components }) => as === 'file' && components.includes(component))
      .map(({ pointer }) => ({ pointer, text: text ?? '' }));
  });
}

/** The type of the file system that holds the path; null: the kernel does not say. */
function fileSystemOf(files: Files, path: string): string | null {
  const real = files.realPath(path);
  const table = readMounts(files);
  return real.ok && table ? (mountOf(table, real.value)?.type ?? null) : null;
}
