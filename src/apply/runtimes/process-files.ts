/**
 * The files of programs: `stateDir/generations/<deployment>/<hex>/<component>/`, unpacked from
 * pristine blobs, compared with them before every start (check 18).
 */
import { folderOf } from '#apply/folder-name.ts';
import {
  type Depth,
  openOrMake,
  type ShelfTools,
  slotDiffers,
  slotsOf,
  stageTree,
  sweepShelf,
} from '#apply/generations.ts';
import { treeCursor } from '#apply/tree-cursor.ts';
import { type Difference, isGone } from '#apply/tree-differs.ts';
import { ratioFault } from '#apply/unpack.ts';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Directory, Files } from '#platform/files.ts';
import type { ProcessComponent } from '#state/deployment.ts';
import { type Digest, hexOf } from '#state/digest.ts';
import type { Generation } from '#state/generation.ts';
import { blobOf, commandOf, programTree } from './process-program.ts';

const FOLDER = 'generations';
const OPEN_MODE = 0o755;
/** others may pass through, not look */
const PASSAGE = 0o011;

export interface ProgramFiles {
  /**
   * The directory of the component, as signed: one that is there, or unpacked anew.
   * @param used  slots that live programs run from
   */
  ready(
    generation: Generation,
    component: ProcessComponent,
    options: { depth: Depth; used: ReadonlySet<string> },
  ): Promise<Result<string>>;
  /** Null: one slot is as signed. */
  differs(
    generation: Generation,
    component: ProcessComponent,
    depth: Depth,
  ): Promise<Result<Difference | null>>;
  /** The program that `command` names is among the files, or the device's own. */
  checkProgram(
    generation: Generation,
    component: ProcessComponent,
    directory: string,
  ): Result<void>;
  /** Programs of other users have to reach their files below the agent's private directory. */
  letOthersPass(): Result<void>;
  sweep(id: string, keep: ReadonlySet<Digest>, used: ReadonlySet<string>): Result<void>;
  /** names of the folders of deployments */
  owners(): Result<readonly string[]>;
}

export function programFiles(files: Files, tools: ShelfTools, stateDir: string): ProgramFiles {
  const shelves = `${stateDir}/${FOLDER}`;
  const shelfOf = (id: string): Result<Directory> => {
    const state = files.open(stateDir, { follow: true });
    if (!state.ok) return state;
    const all = openOrMake(state.value, FOLDER, OPEN_MODE);
    state.value.close();
    if (!all.ok) return all;
    const shelf = openOrMake(all.value, folderOf(id), OPEN_MODE);
    all.value.close();
    return shelf;
  };
  const differs: ProgramFiles['differs'] = async (generation, component, depth) => {
    const found = await intactSlot(tools, shelfOf(generation.id), { generation, component, depth });
    return found.ok ? ok(found.value.wrong) : found;
  };
  return {
    async ready(generation, component, { depth, used }) {
      const ratio = ratioFault(generation.id, blobOf(generation, component));
      if (ratio) return ratio;
      const want = { generation, component, depth };
      const intact = await intactSlot(tools, shelfOf(generation.id), want);
      if (!intact.ok) return intact;
      let { slot } = intact.value;
      if (slot === null) {
        const shelf = shelfOf(generation.id);
        if (!shelf.ok) return shelf;
        const staged = await stageTree(
          tools,
          shelf.value,
          programTree(generation, component),
          used,
        );
        shelf.value.close();
        if (!staged.ok) return staged;
        slot = staged.value;
      }
      return ok(`${shelves}/${folderOf(generation.id)}/${slot}/${folderOf(component.name)}`);
    },
    differs,
    checkProgram: (generation, component, directory) =>
      checkProgram(files, generation, component, directory),
    letOthersPass: () => letOthersPass(files, stateDir),
    sweep(id, keep, used) {
      const shelf = files.open(`${shelves}/${folderOf(id)}`, { follow: true });
      if (!shelf.ok) return shelf.fault.code === 'platform.missing' ? ok(undefined) : shelf;
      const swept = sweepShelf(shelf.value, keep, used);
      shelf.value.close();
      if (!swept.ok || keep.size > 0 || used.size > 0) return swept;
      const all = files.open(shelves, { follow: true });
      if (!all.ok) return all;
      const removed = all.value.removeTree(folderOf(id));
      all.value.close();
      return removed;
    },
    owners() {
      const all = files.open(shelves, { follow: true });
      if (!all.ok) return all.fault.code === 'platform.missing' ? ok([]) : all;
      const names = all.value.list();
      all.value.close();
      return names;
    },
  };
}

/** The first slot that is as signed, or what is wrong with the first. Closes the shelf. */
async function intactSlot(
  tools: ShelfTools,
  shelf: Result<Directory>,
  want: { generation: Generation; component: ProcessComponent; depth: Depth },
): Promise<Result<{ readonly slot: string | null; readonly wrong: Difference | null }>> {
  if (!shelf.ok) return shelf;
  const tree = programTree(want.generation, want.component);
  let first: Difference | null = null;
  try {
    for (const slot of slotsOf(hexOf(want.generation.digest))) {
      const place = { slot, want: tree, depth: want.depth };
      const wrong = await slotDiffers(tools, shelf.value, place);
      if (!wrong.ok) return wrong;
      if (wrong.value === null) return ok({ slot, wrong: null });
      first ??= wrong.value;
    }
    return ok({ slot: null, wrong: first });
  } finally {
    shelf.value.close();
  }
}

function checkProgram(
  files: Files,
  generation: Generation,
  component: ProcessComponent,
  directory: string,
): Result<void> {
  const [program = ''] = commandOf(generation, component, directory);
  if (!program.startsWith(`${directory}/`)) return ok(undefined);
  const path = program.slice(directory.length + 1).split('/');
  const missing = () =>
    refuse('apply.program-missing', {
      deployment: generation.id,
      component: component.name,
      program: path.join('/'),
    });
  if (path.some((name) => name === '' || name === '.' || name === '..')) return missing();
  const root = files.open(directory, { follow: true });
  if (!root.ok) return root;
  const cursor = treeCursor(root.value);
  const parent = cursor.at(path.slice(0, -1));
  const entry = parent.ok ? parent.value.stat(path.at(-1) ?? '') : parent;
  cursor.close();
  root.value.close();
  if (!entry.ok) return isGone(entry) ? missing() : entry;
  const runs = entry.value?.kind === 'file' && (entry.value.mode & 0o111) !== 0;
  return runs ? ok(undefined) : missing();
}

function letOthersPass(files: Files, stateDir: string): Result<void> {
  const slash = stateDir.lastIndexOf('/');
  const parent = files.open(stateDir.slice(0, slash) || '/', { follow: true });
  if (!parent.ok) return parent;
  const name = stateDir.slice(slash + 1);
  const entry = parent.value.stat(name);
  const closed = entry.ok && entry.value?.kind === 'directory' && !passable(entry.value.mode);
  const done =
    entry.ok && entry.value && closed
      ? parent.value.chmod(name, entry.value.mode | PASSAGE)
      : ok(undefined);
  parent.value.close();
  return entry.ok ? done : entry;
}

function passable(mode: number): boolean {
  return (mode & PASSAGE) === PASSAGE;
}
