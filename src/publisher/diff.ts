/** What publishing a channel would change: against its verified head, in deployments and bytes. */
import { ok, type Result } from '#errors/fault.ts';
import type { Registry } from '#link/registry.ts';
import type { Platform } from '#platform/platform.ts';
import type { BlobRef, DeploymentRef, DesiredState } from '#state/desired-state.ts';
import type { Digest } from '#state/digest.ts';
import { type Compiled, compileChannel } from './compile.ts';
import type { Fleet } from './fleet.ts';
import { readLine } from './line.ts';
import { documentsFor } from './margo-parts.ts';
import { missingBlobs } from './push.ts';
import { type Cargo, draftStatement, saysTheSame } from './statement.ts';

export interface Difference {
  readonly channel: string;
  /** null: nothing was published or signed yet */
  readonly base: DesiredState | null;
  readonly added: readonly string[];
  /** with what of them changed: the document, or blobs by name */
  readonly changed: readonly { readonly id: string; readonly what: readonly string[] }[];
  readonly removed: readonly string[];
  /** audience, policy or agent version alone */
  readonly terms: boolean;
  /** of blobs that the registry lacks; null: no registry was asked */
  readonly bytesToPush: number | null;
  readonly same: boolean;
}

export async function diffChannel(
  platform: Platform,
  fleet: Fleet,
  name: string,
  registry: Registry | null,
): Promise<Result<Difference>> {
  const line = await readLine(platform, fleet, name, registry);
  if (!line.ok) return line;
  const compiled = compileChannel(platform, `${fleet.directory}/channels/${name}`);
  if (!compiled.ok) return compiled;
  const base = registry ? (line.value.head?.state ?? null) : line.value.previous;
  const { deployments, blobs } = compiled.value;
  const along = documentsFor(platform, line.value.channel, compiled.value);
  if (!along.ok) return along;
  const documents = along.value;
  const layer = documents && { digest: documents.digest, size: documents.size };
  const cargo: Cargo = { deployments, blobs, documents: layer, promotedFrom: null };
  const draft = draftStatement(fleet, line.value.channel, cargo, { ...line.value, previous: base });
  const bytes = registry ? await bytesMissing(registry, compiled.value) : ok(null);
  if (!bytes.ok) return bytes;
  const before = new Map(base?.deployments.map((ref) => [ref.id, ref]) ?? []);
  const changed = deployments.flatMap((ref) => {
    const old = before.get(ref.id);
    const what = old && base ? changesOf(ref, old, compiled.value, base) : [];
    return what.length > 0 ? [{ id: ref.id, what }] : [];
  });
  const added = deployments.filter(({ id }) => !before.has(id)).map(({ id }) => id);
  const same = base !== null && saysTheSame(base, draft.unsigned);
  const content = added.length + changed.length + draft.removed.length > 0;
  return ok({
    channel: name,
    base,
    added,
    changed,
    removed: draft.removed,
    terms: !same && !content && base !== null,
    bytesToPush: bytes.value,
    same,
  });
}

/** A deployment is changed when its document is, or a blob that it names. */
function changesOf(
  ref: DeploymentRef,
  old: DeploymentRef,
  { uses, blobs }: Compiled,
  base: DesiredState,
): readonly string[] {
  const before = digestsOf(base.blobs);
  const now = digestsOf(blobs);
  const named = uses.get(ref.id)?.filter((blob) => before.get(blob) !== now.get(blob)) ?? [];
  return [...(ref.digest === old.digest ? [] : ['document']), ...named];
}

function digestsOf(blobs: readonly BlobRef[]): ReadonlyMap<string, Digest> {
  return new Map(blobs.map(({ name, digest }) => [name, digest]));
}

async function bytesMissing(
  registry: Registry,
  { documents, contents }: Compiled,
): Promise<Result<number>> {
  const blobs = [...contents.values(), ...(documents ? [documents] : [])];
  const missing = await missingBlobs(registry, blobs);
  return missing.ok ? ok(missing.value.reduce((sum, { size }) => sum + size, 0)) : missing;
}
