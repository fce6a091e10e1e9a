/**
 * `root pull`: roots that another desk has published, from the artifacts of a repository or bundle.
 * Each is judged as a device would before it is kept; nothing that is here is written over.
 */
import { ok, type Result } from '#errors/fault.ts';
import type { Files } from '#platform/files.ts';
import type { Fleet } from './fleet.ts';
import { readArtifact } from './head.ts';
import { keepRoot, linkAfter, type RootLink } from './root-folder.ts';
import { newestOf } from './root-lint.ts';
import type { Shelf } from './shelf.ts';

/** @returns the roots that are new here, ascending */
export async function pullRoots(
  files: Files,
  fleet: Fleet,
  shelves: readonly Shelf[],
): Promise<Result<readonly RootLink[]>> {
  const pulled: RootLink[] = [];
  for (const shelf of shelves) {
    const manifests = await shelf.manifests();
    if (!manifests.ok) return manifests;
    for (const found of manifests.value) {
      const artifact = await readArtifact(shelf, found);
      if (!artifact.ok) return artifact;
      for (const bytes of artifact.value?.roots ?? []) {
        const held = pulled.at(-1)?.root ?? newestOf(fleet.chain);
        const link = linkAfter(held, bytes);
        if (!link.ok) continue; // older, or nobody's
        const kept = keepRoot(files, fleet.directory, link.value);
        if (!kept.ok) return kept;
        pulled.push(link.value);
      }
    }
  }
  return ok(pulled);
}
