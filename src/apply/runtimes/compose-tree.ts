/**
 * The folder of a compose file: unpacked from its pristine blob beside the records, compared with it
 * before every use (check 18), named by the blob so that the same package is the same path. What is
 * mounted out of it is read-only.
 */
import {
  type Depth,
  type ShelfTools,
  slotDiffers,
  slotsOf,
  stageTree,
} from '#apply/generations.ts';
import type { Difference } from '#apply/tree-differs.ts';
import { ratioFault } from '#apply/unpack.ts';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Directory } from '#platform/files.ts';
import type { ComposeProject, ComposeVariables } from '#state/compose.ts';
import { type Digest, hexOf, sha256Hasher } from '#state/digest.ts';
import type { GenerationBlob } from '#state/generation.ts';
import { COMPOSE_FILES, readCompose } from '#wire/compose.ts';
import { readEnv } from '#wire/compose-service.ts';

/** the one component of a slot */
const TREE = 'tree';
const FILE_BYTES = 1024 * 1024;
const HASHED_BYTES = 64 * 1024 * 1024;

export interface ComposeTree {
  /** absolute, of the folder of the compose file */
  readonly path: string;
  readonly folder: Directory;
  /** name of the compose file in it */
  readonly file: string;
  close(): void;
}

/** @param used  slots that containers mount from */
export async function stageCompose(
  tools: ShelfTools,
  shelf: Directory,
  blob: GenerationBlob,
  { deployment, used }: { readonly deployment: string; readonly used: ReadonlySet<string> },
): Promise<Result<ComposeTree>> {
  const ratio = ratioFault(deployment, blob);
  if (ratio) return ratio;
  const want = { blob, fileName: COMPOSE_FILES[0] ?? '', owner: null, component: TREE };
  const slot = await stageTree(tools, shelf, { ...want, generation: blob.digest }, used);
  return slot.ok ? openCompose(shelf, slot.value, deployment) : slot;
}

/** Null: one slot is as signed. */
export async function composeDiffers(
  tools: ShelfTools,
  shelf: Directory,
  blob: GenerationBlob,
  depth: Depth,
): Promise<Result<Difference | null>> {
  let first: Difference | null = null;
  for (const slot of slotsOf(hexOf(blob.digest))) {
    const want = { blob, fileName: COMPOSE_FILES[0] ?? '', owner: null, component: TREE };
    const wrong = await slotDiffers(tools, shelf, { slot, want, depth });
    if (!wrong.ok || wrong.value === null) return wrong;
    first ??= wrong.value;
  }
  return ok(first);
}

/** At the top, or in the one folder that is there. */
function openCompose(shelf: Directory, slot: string, deployment: string): Result<ComposeTree> {
  const place = shelf.directory(slot);
  if (!place.ok) return place;
  const top = place.value.directory(TREE);
  place.value.close();
  if (!top.ok) return top;
  const path = `${shelf.path}/${slot}/${TREE}`;
  const names = top.value.list();
  if (!names.ok) return names;
  const here = COMPOSE_FILES.find((name) => names.value.includes(name));
  if (here) {
    return ok({ path, folder: top.value, file: here, close: () => top.value.close() });
  }
  const [only, ...more] = names.value;
  const inner = only && more.length === 0 ? top.value.directory(only) : null;
  top.value.close();
  const inside = inner?.ok ? inner.value.list() : null;
  const file = COMPOSE_FILES.find((name) => inside?.ok && inside.value.includes(name));
  if (!inner?.ok || !file) {
    if (inner?.ok) inner.value.close();
    const reason = `no compose.yaml at its top or in its one folder`;
    return refuse('compose.file', { deployment, reason });
  }
  const { value } = inner;
  return ok({ path: `${path}/${only}`, folder: value, file, close: () => value.close() });
}

/** With the variables of `.env` beside those of the document, which win. */
export function readProject(
  { folder, file }: ComposeTree,
  deployment: string,
  component: string,
  variables: ComposeVariables,
): Result<ComposeProject> {
  const bytes = folder.read(file, FILE_BYTES);
  if (!bytes.ok) return bytes;
  const read = (path: readonly string[]) => textAt(folder, path);
  const plain = new Map([...Object.entries(readEnv(read(['.env']) ?? '')), ...variables.plain]);
  for (const name of variables.sealed) plain.delete(name);
  const made = readCompose({
    ...{ bytes: bytes.value, file: `${component}/${file}`, read },
    variables: { plain, sealed: variables.sealed },
  });
  if (made.ok || made.fault.code !== 'config.invalid') return made;
  return refuse('compose.file', { deployment, reason: made.fault.message });
}

function textAt(folder: Directory, path: readonly string[]): string | null {
  const name = path.at(-1);
  if (name === undefined) return null;
  const parent = descend(folder, path.slice(0, -1));
  if (!parent) return null;
  const bytes = parent.directory.read(name, FILE_BYTES);
  parent.close();
  return bytes.ok ? Buffer.from(bytes.value).toString('utf8') : null;
}

function descend(folder: Directory, path: readonly string[]) {
  let directory = folder;
  for (const name of path) {
    const next = directory.directory(name);
    if (directory !== folder) directory.close();
    if (!next.ok) return null;
    directory = next.value;
  }
  return { directory, close: () => (directory === folder ? undefined : directory.close()) };
}

/** What a file or folder of the package holds, as a digest; null: it is not there. */
export function contentOf({ folder }: ComposeTree, path: readonly string[]): Digest | null {
  const hasher = sha256Hasher();
  let left = HASHED_BYTES;
  const visit = (directory: Directory, name: string, below: string): boolean => {
    const entry = directory.stat(name);
    if (!entry.ok || entry.value === null) return false;
    hasher.update(Buffer.from(`${below}\0${entry.value.kind}\0${entry.value.mode}\0`));
    if (entry.value.kind === 'file') {
      left -= entry.value.size;
      const bytes = left > 0 ? directory.read(name, HASHED_BYTES) : null;
      if (!bytes?.ok) return false;
      hasher.update(Buffer.from(`${bytes.value.length}\0`));
      hasher.update(bytes.value);
      return true;
    }
    const inner = directory.directory(name);
    if (!inner.ok) return false;
    const names = inner.value.list();
    const done =
      names.ok &&
      [...names.value].sort().every((each) => visit(inner.value, each, `${below}/${each}`));
    inner.value.close();
    return done;
  };
  const name = path.at(-1);
  if (name === undefined) {
    const names = folder.list();
    return names.ok && [...names.value].sort().every((each) => visit(folder, each, each))
      ? hasher.digest()
      : null;
  }
  const parent = descend(folder, path.slice(0, -1));
  if (!parent) return null;
  const whole = visit(parent.directory, name, '');
  parent.close();
  return whole ? hasher.digest() : null;
}
