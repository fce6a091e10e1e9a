/**
 * The request becomes root/N.root.json when enough have signed it, and never changes again. The
 * registry is asked before: a version that another desk has published already is not made twice.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Registry } from '#link/registry.ts';
import type { Files } from '#platform/files.ts';
import { writeEnvelope } from '#wire/envelope.ts';
import { ordinaryNames } from './channel-names.ts';
import { authorityOf, type Fleet } from './fleet.ts';
import { readArtifact } from './head.ts';
import { judgeBeside } from './root-beside.ts';
import { keepRoot, linkAfter, type RootLink } from './root-folder.ts';
import { discardMaking, openRequest, sweepMade } from './root-making.ts';
import { countedOnly, type RootRequest } from './root-request.ts';
import { instantOrNever } from './root-time.ts';
import { registryShelf } from './shelf.ts';

/** Null: nothing asks to become a root; what a cut left over of one that did is swept. */
export function acceptRequest(
  files: Files,
  fleet: Fleet,
  { anchored }: { readonly anchored: boolean },
): Result<RootLink | null> {
  const request = openRequest(files, fleet);
  if (!request.ok) return request;
  if (!request.value) {
    const swept = sweepMade(files, fleet);
    return swept.ok ? ok(null) : swept;
  }
  const link = signedEnough(request.value, fleet, anchored);
  if (!link.ok) return link;
  const kept = keepRoot(files, fleet.directory, link.value, { anchored });
  if (!kept.ok) return kept;
  const swept = discardMaking(files, fleet);
  return swept.ok ? ok(link.value) : swept;
}

/** Check 7, as each device will do it; an anchored root, as a device does whose file it becomes. */
function signedEnough(request: RootRequest, fleet: Fleet, anchored: boolean): Result<RootLink> {
  const { version, notAfter } = request.root;
  const { estimateMs } = fleet.time;
  if (notAfter !== 0 && notAfter < estimateMs) {
    const [ended, now] = [instantOrNever(notAfter), instantOrNever(estimateMs)];
    return refuse('publish.root-expired', { version, notAfter: ended, now });
  }
  return linkAfter(fleet.root, writeEnvelope(countedOnly(request)), anchored);
}

/** `publish.root-behind` and `publish.root-forked`, before anything is signed or written. */
export async function judgePublished(fleet: Fleet, registry: Registry): Promise<Result<undefined>> {
  for (const name of ordinaryNames(fleet)) {
    const { chain } = authorityOf(fleet, name);
    const shelf = registryShelf(registry, name);
    const manifests = await shelf.manifests();
    if (!manifests.ok) return manifests;
    for (const found of manifests.value) {
      const artifact = await readArtifact(shelf, found);
      if (!artifact.ok) return artifact;
      const beside = judgeBeside(artifact.value?.roots ?? [], chain, shelf.name);
      if (!beside.ok) return beside;
    }
  }
  return ok();
}
