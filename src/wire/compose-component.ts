/**
 * A component of type `compose`, in our own dialect and in Margo's: where its compose file comes from,
 * how long it may take, what stays of it. `blob` is a tree (or the file alone) of the statement, `images`
 * are archives of it; `repository` and `revision` name a package of a registry.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Deployment, OtherComponent } from '#state/deployment.ts';
import { plainly } from './quote.ts';

export interface ComposeComponent {
  readonly name: string;
  readonly from:
    | { readonly kind: 'blob'; readonly blob: string }
    | { readonly kind: 'package'; readonly repository: string; readonly revision: string };
  /** blobs: archives as `podman save`, `docker save` and `skopeo copy` make them */
  readonly images: readonly string[];
  /** false: it is not waited for */
  readonly wait: boolean;
  readonly timeoutMs: number;
  /** its volumes go when the deployment does */
  readonly purge: boolean;
}

const KNOWN = [
  ...['blob', 'images', 'repository', 'revision', 'wait', 'timeout', 'onRemove', 'packageLocation'],
  'keyLocation',
];
const TIMEOUT = /^(?:([0-9]{1,3})h)?(?:([0-9]{1,4})m)?(?:([0-9]{1,5})s)?$/;
const TIMEOUT_MS = 5 * 60_000;
const IMAGES_MAX = 64;

export function readComposeComponent(
  deployment: string,
  { name, properties }: OtherComponent,
): Result<ComposeComponent> {
  const bad = (reason: string) =>
    refuse('compose.file', { deployment, reason: plainly(`component ${name}: ${reason}`) });
  const unknown = Object.keys(properties).find(
    (key) => !KNOWN.includes(key) && !key.startsWith('x-'),
  );
  if (unknown !== undefined) return bad(`${unknown} is no property of a compose component`);
  const { blob, repository, revision, packageLocation, wait, timeout, onRemove } = properties;
  const from = fromOf(blob, repository, revision);
  if (from === null && typeof packageLocation === 'string') {
    return bad('packageLocation names no digest: give repository and revision');
  }
  if (from === null) return bad('it needs a blob, or repository and revision');
  const images = imagesOf(properties);
  if (images === null || images.length > IMAGES_MAX) return bad('images is no list of blobs');
  const [, hours, minutes, seconds] =
    TIMEOUT.exec(typeof timeout === 'string' ? timeout : '') ?? [];
  const asked = (Number(hours ?? 0) * 60 + Number(minutes ?? 0)) * 60 + Number(seconds ?? 0);
  if (timeout !== undefined && asked === 0) return bad('timeout is no time such as "2m30s"');
  if (onRemove !== undefined && onRemove !== 'keep' && onRemove !== 'purge') {
    return bad('onRemove is keep or purge');
  }
  return ok({
    ...{ name, from, images },
    wait: wait !== false && wait !== 'false',
    timeoutMs: timeout === undefined ? TIMEOUT_MS : asked * 1_000,
    purge: onRemove === 'purge',
  });
}

function fromOf(
  blob: unknown,
  repository: unknown,
  revision: unknown,
): ComposeComponent['from'] | null {
  if (typeof blob === 'string') return { kind: 'blob', blob };
  if (typeof repository !== 'string' || typeof revision !== 'string') return null;
  return { kind: 'package', repository, revision };
}

function imagesOf({ images }: Readonly<Record<string, unknown>>): readonly string[] | null {
  if (images === undefined) return [];
  const list = Array.isArray(images) ? (images as readonly unknown[]) : null;
  return list?.every((name) => typeof name === 'string') ? (list as readonly string[]) : null;
}

/** Archives of images that a compose deployment names among its blobs. */
export function composeBlobs({ profile }: Deployment): readonly string[] {
  if (profile.kind !== 'other' || profile.type !== 'compose') return [];
  return profile.components.flatMap(({ properties }) => imagesOf(properties) ?? []);
}
