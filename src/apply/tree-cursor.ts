/**
 * Walks a tree by component names, keeping the directories of the last path open: archives name
 * entries in depth-first order, so each directory is opened about once. Never through a link: every
 * step is `Directory.directory` (check 17). At most LIMITS.treeDepth handles are open.
 */
import { ok, type Result } from '#errors/fault.ts';
import type { Directory } from '#platform/files.ts';

export interface TreeCursor {
  /** The directory at `path` below the root; made with `create` where missing. Not to be closed. */
  at(path: readonly string[], create?: number): Result<Directory>;
  /** Closes all but the root, which is the caller's. */
  close(): void;
}

export function treeCursor(root: Directory): TreeCursor {
  const open: { readonly name: string; readonly directory: Directory }[] = [];
  const closeFrom = (depth: number) => {
    for (const { directory } of open.splice(depth).reverse()) directory.close();
  };
  return {
    at(path, create) {
      let depth = 0;
      while (depth < open.length && open[depth]?.name === path[depth]) depth += 1;
      closeFrom(depth);
      for (const name of path.slice(depth)) {
        const parent = open.at(-1)?.directory ?? root;
        const next = parent.directory(name, create === undefined ? {} : { create });
        if (!next.ok) return next;
        open.push({ name, directory: next.value });
      }
      return ok(open.at(-1)?.directory ?? root);
    },
    close: () => closeFrom(0),
  };
}
