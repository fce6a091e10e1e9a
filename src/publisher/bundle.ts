/** `publish --to` and `--from`: a signed state as a bundle, the same bytes and digests both ways. */
import { ok, type Result, refuse, refused } from '#errors/fault.ts';
import type { Files } from '#platform/files.ts';
import { writeArchive } from './archive.ts';
import type { Artifact } from './artifact.ts';
import type { Content } from './content.ts';
import { authorityOf, type Fleet } from './fleet.ts';
import { readHead } from './head.ts';
import { writeLayout } from './layout.ts';
import { splitLast } from './place.ts';
import { openBundle } from './shelf.ts';
import { type SignedState, tagOf } from './signed.ts';

/** @param text  oci:DIRECTORY, which must not be there yet, or oci-archive:FILE, which is replaced; absolute */
export function writeBundle(files: Files, text: string, signed: SignedState): Result<string> {
  const artifact = artifactOf(signed);
  if (!artifact.ok) return artifact;
  const { channel, point } = signed.state;
  const tag = tagOf(channel, point);
  const archive = text.startsWith('oci-archive:');
  const typed = text.slice(text.indexOf(':') + 1);
  if ((!archive && !text.startsWith('oci:')) || !typed.startsWith('/')) {
    return refuse('publish.bundle', { bundle: text, reason: 'it is no bundle’s name' });
  }
  const path = files.realPath(typed);
  if (!path.ok) return path;
  const { directory, name } = splitLast(path.value);
  const wrote = archive
    ? writeArchive(files, path.value, artifact.value, tag)
    : writeLayout(files, { parent: directory, name }, artifact.value, tag);
  return wrote.ok ? ok(path.value) : wrote;
}

/** A state signed earlier, verified against this fleet's root, ready to be pushed as it is. */
export async function readBundle(
  files: Files,
  fleet: Fleet,
  channel: string,
  text: string,
): Promise<Result<SignedState>> {
  const shelf = openBundle(files, text);
  if (!shelf.ok) return shelf;
  const head = await readHead(shelf.value, authorityOf(fleet, channel));
  if (!head.ok) return head;
  return head.value
    ? ok({ ...head.value, shelf: shelf.value })
    : refuse('publish.nothing-signed', { channel, where: text });
}

function artifactOf({
  manifest,
  manifestBytes,
  manifestDigest,
  shelf,
}: SignedState): Result<Artifact> {
  const contents = new Map<string, Content>();
  for (const blob of [manifest.config, ...manifest.layers]) {
    const content = shelf.content(blob);
    if (!content) {
      return refuse('publish.bundle', { bundle: shelf.name, reason: 'it cannot be copied' });
    }
    if (!content.ok) return refused(content.fault);
    contents.set(blob.digest, content.value);
  }
  return ok({ manifest: manifestBytes, manifestDigest, contents: [...contents.values()] });
}
