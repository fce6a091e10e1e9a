/**
 * Names of images and packages: `[host[:port]/]repository[:tag][@sha256:…]`, in the strict grammar of
 * registries, since they become part of request lines (C18). A name without a host is Docker Hub's.
 * @see https://github.com/distribution/reference
 */
import type { ImageName } from '#state/compose.ts';
import { parseDigest } from '#state/digest.ts';

const HOST =
  /^(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?$/;
const REPOSITORY =
  /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
const HUB = 'docker.io';
const LENGTH_MAX = 512;

/** Null: it is none. */
export function readImageName(text: string): ImageName | null {
  if (text.length > LENGTH_MAX) return null;
  const at = text.indexOf('@');
  const digest = at < 0 ? null : parseDigest(text.slice(at + 1));
  if (at >= 0 && digest === null) return null;
  const named = at < 0 ? text : text.slice(0, at);
  const slash = named.indexOf('/');
  const first = slash < 0 ? '' : named.slice(0, slash);
  const isHost = first.includes('.') || first.includes(':') || first === 'localhost';
  const rest = isHost ? named.slice(slash + 1) : named;
  const colon = rest.lastIndexOf(':');
  const tagged = colon >= 0 ? rest.slice(colon + 1) : null;
  const path = colon >= 0 ? rest.slice(0, colon) : rest;
  const repository = isHost || path.includes('/') ? path : `library/${path}`;
  if (isHost && !HOST.test(first)) return null;
  if (!REPOSITORY.test(repository) || (tagged !== null && !TAG.test(tagged))) return null;
  const tag = tagged ?? (digest === null ? 'latest' : null);
  return { host: isHost ? first : HUB, repository, tag, digest };
}

/** `oci://host/repository` of a Margo component. */
export function readPackageName(repository: string): Pick<ImageName, 'host' | 'repository'> | null {
  const [, host = '', path = ''] = /^oci:\/\/([^/]+)\/(.+)$/.exec(repository) ?? [];
  return HOST.test(host) && REPOSITORY.test(path) ? { host, repository: path } : null;
}

export function imageText({ host, repository, tag, digest }: ImageName): string {
  return `${host}/${repository}${tag === null ? '' : `:${tag}`}${digest === null ? '' : `@${digest}`}`;
}
