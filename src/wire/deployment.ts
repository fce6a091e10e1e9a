/** Deployment documents of either dialect, told apart by their media type (FORMATS: OCI artifact). */
import { type Result, refuse } from '#errors/fault.ts';
import type { Deployment } from '#state/deployment.ts';
import { LIMITS } from '#state/limits.ts';
import { MEDIA } from '#state/media-types.ts';
import { readApplicationDeployment } from './application-deployment.ts';
import { composeBlobs } from './compose-component.ts';
import { readHoldfastDeployment } from './holdfast-deployment.ts';
import { quote } from './quote.ts';
import { openYaml } from './yaml-document.ts';

/** @param where  the id that the statement gives it, and a name for messages */
export function readDeployment(
  bytes: Uint8Array,
  mediaType: string,
  where: { readonly id: string; readonly file: string },
): Result<Deployment> {
  const { id, file } = where;
  if (mediaType !== MEDIA.deployment && mediaType !== MEDIA.margoDeployment) {
    const expected = `${MEDIA.deployment} or ${MEDIA.margoDeployment}`;
    return refuse('format.media-type', { what: file, found: quote(mediaType), expected });
  }
  if (bytes.length > LIMITS.documentBytes) {
    const expected = `expected at most ${LIMITS.documentBytes} bytes`;
    return refuse('config.invalid', { file, line: 1, column: 1, expected });
  }
  const document = openYaml(bytes, file);
  if (!document.ok) return document;
  return mediaType === MEDIA.deployment
    ? readHoldfastDeployment(document.value, id)
    : readApplicationDeployment(document.value, id);
}

/** The blobs it needs, each once, in the order of its components. */
export function blobNames(deployment: Deployment): readonly string[] {
  const { components } = deployment.profile;
  const names = components.flatMap(({ blob }) => (blob === null ? [] : [blob]));
  return [...new Set([...names, ...composeBlobs(deployment)])];
}
