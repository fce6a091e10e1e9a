/**
 * Names in the registry's URLs. Nothing is decoded: a path with `%` names nothing here, so `..` and
 * separators cannot arrive disguised (attack row C18). Repository names become one directory name
 * with `~`, which no name holds, for `/`.
 * @see OCI distribution-spec 1.1, "Pulling manifests": <name>, <reference>
 */
import { type Digest, parseDigest } from '#state/digest.ts';

const REPOSITORY =
  /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const REPOSITORY_MAX = 200;
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;
const UPLOAD = /^[0-9a-f]{32}$/;
const ROUTE = /^\/v2\/(.+)\/(manifests|blobs|tags|referrers)\/(.*)$/s;
const TARGET_MAX = 2_048;

export type Route =
  | { readonly kind: 'base' }
  | { readonly kind: 'manifest'; readonly repository: string; readonly reference: string }
  | { readonly kind: 'blob'; readonly repository: string; readonly digest: Digest | null }
  | { readonly kind: 'uploads'; readonly repository: string }
  | { readonly kind: 'upload'; readonly repository: string; readonly id: string }
  | { readonly kind: 'tags'; readonly repository: string }
  | { readonly kind: 'referrers'; readonly repository: string; readonly digest: Digest | null }
  | { readonly kind: 'bad-name' }
  | { readonly kind: 'none' };

export function routeOf(path: string): Route {
  if (path === '/v2' || path === '/v2/') return { kind: 'base' };
  if (path.length > TARGET_MAX) return { kind: 'bad-name' };
  const match = ROUTE.exec(path);
  if (!match) return { kind: 'none' };
  const [, repository = '', resource = '', rest = ''] = match;
  if (!isRepository(repository)) return { kind: 'bad-name' };
  switch (resource) {
    case 'manifests':
      return { kind: 'manifest', repository, reference: rest };
    case 'tags':
      return rest === 'list' ? { kind: 'tags', repository } : { kind: 'none' };
    case 'referrers':
      return { kind: 'referrers', repository, digest: parseDigest(rest) };
    default:
      return blobRoute(repository, rest);
  }
}

function blobRoute(repository: string, rest: string): Route {
  if (rest === 'uploads/' || rest === 'uploads') return { kind: 'uploads', repository };
  if (!rest.startsWith('uploads/')) return { kind: 'blob', repository, digest: parseDigest(rest) };
  const id = rest.slice('uploads/'.length);
  return UPLOAD.test(id) ? { kind: 'upload', repository, id } : { kind: 'none' };
}

export function isRepository(name: string): boolean {
  return name.length <= REPOSITORY_MAX && REPOSITORY.test(name);
}

export function isTag(name: string): boolean {
  return TAG.test(name);
}

/** One component of a path, for every repository another one. */
export function directoryOf(repository: string): string {
  return repository.replaceAll('/', '~');
}
