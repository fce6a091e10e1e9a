/**
 * A time statement for everyone, to where devices find it: the tag `time` of the repository, retained
 * under the fleet's topic, a bundle. Each is a lower bound and a proof of the heads, no more, so it
 * may lie there for ever.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Registry } from '#link/registry.ts';
import { topicOf } from '#link/topics.ts';
import type { Files } from '#platform/files.ts';
import type { Platform } from '#platform/platform.ts';
import type { Envelope } from '#state/envelope.ts';
import { MEDIA } from '#state/media-types.ts';
import { TIME_ROLE } from '#state/time-statement.ts';
import { writeEnvelope } from '#wire/envelope.ts';
import { writeEnvelopeMessage } from '#wire/envelope-message.ts';
import { describe, writeManifest } from '#wire/oci.ts';
import { writeArchive } from './archive.ts';
import type { Artifact } from './artifact.ts';
import { connectBroker, topicRootOf } from './broker.ts';
import { bytesContent } from './content.ts';
import type { Fleet } from './fleet.ts';
import { writeLayout } from './layout.ts';
import { splitLast } from './place.ts';

const EMPTY = new TextEncoder().encode('{}');

/** One layer, which stands in the manifest too: a device needs one request. */
function timeArtifact(statement: Envelope): Artifact {
  const bytes = writeEnvelope(statement);
  const manifest = writeManifest({
    artifactType: MEDIA.time,
    config: describe(MEDIA.ociEmpty, EMPTY, { inline: true }),
    layers: [describe(MEDIA.time, bytes, { inline: true })],
    annotations: { 'org.opencontainers.image.title': 'time' },
  });
  const contents = [bytesContent(EMPTY), bytesContent(bytes)];
  return { manifest, manifestDigest: bytesContent(manifest).digest, contents };
}

/** Content first, the tag last. */
export async function pushTime(registry: Registry, statement: Envelope): Promise<Result<void>> {
  const { manifest, contents } = timeArtifact(statement);
  for (const { digest, size, chunks } of contents) {
    const there = await registry.hasBlob(digest);
    if (!there.ok) return there;
    const sent = there.value ? ok() : await registry.pushBlob(digest, size, chunks);
    if (!sent.ok) return sent;
  }
  const put = await registry.putManifest(TIME_ROLE, manifest);
  return put.ok ? ok() : put;
}

/** Retained: devices that connect later get it. */
export async function sendTime(
  platform: Platform,
  fleet: Fleet,
  statement: Envelope,
): Promise<Result<void>> {
  const topic = timeTopic(fleet);
  if (!topic.ok) return topic;
  const id = Buffer.from(platform.random.bytes(8)).toString('hex');
  const connection = await connectBroker(platform, fleet, { clientId: `holdfast-time-${id}` });
  if (!connection.ok) return connection;
  const sent = await connection.value.publish(topic.value, writeEnvelopeMessage(statement), true);
  await connection.value.end();
  return sent;
}

/** @param text  oci:DIRECTORY or oci-archive:FILE; absolute */
export function writeTimeBundle(files: Files, text: string, statement: Envelope): Result<string> {
  const archive = text.startsWith('oci-archive:');
  const typed = text.slice(text.indexOf(':') + 1);
  if ((!archive && !text.startsWith('oci:')) || !typed.startsWith('/')) {
    return refuse('publish.bundle', { bundle: text, reason: 'it is no bundle’s name' });
  }
  const artifact = timeArtifact(statement);
  const { directory: parent, name } = splitLast(typed);
  const wrote = archive
    ? writeArchive(files, typed, artifact, TIME_ROLE)
    : writeLayout(files, { parent, name }, artifact, TIME_ROLE);
  return wrote.ok ? ok(typed) : wrote;
}

function timeTopic(fleet: Fleet): Result<string> {
  const root = topicRootOf(fleet);
  return root.ok ? topicOf(root.value, { kind: 'time' }) : root;
}
