/** Pushes a state as its publisher does: blobs first, then the manifest, the tag last. */
import type { Registry } from '#link/registry.ts';
import type { Published } from './published.ts';

export async function pushState(registry: Registry, tag: string, state: Published): Promise<void> {
  for (const [digest, bytes] of state.blobs) {
    const there = await registry.hasBlob(digest);
    if (!there.ok) throw new Error(there.fault.message);
    if (there.value) continue;
    const pushed = await registry.pushBlob(digest, bytes.length, bytes);
    if (!pushed.ok) throw new Error(pushed.fault.message);
  }
  const put = await registry.putManifest(tag, state.manifest);
  if (!put.ok) throw new Error(put.fault.message);
}
