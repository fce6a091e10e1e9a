/**
 * The tags of a repository, page by page. A registry may name the next page; it is followed only to
 * the same list on the same origin, while new tags come, and at most PAGES_MAX times (C09).
 * @see OCI distribution-spec 1.1, "Listing Tags"; RFC 8288
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import { isJsonObject, type Json, readStrictJson } from '#wire/strict-json.ts';
import { isTag } from './endpoint.ts';
import { discardBody, type LinkResponse, readBody } from './http.ts';
import { type Ask, ownAddress } from './registry-ask.ts';

const PAGE_TAGS = 1_000;
const PAGES_MAX = 200;
/** bytes of one page: registries that know no pages send all at once */
const PAGE_BYTES = 8 * 1024 * 1024;
const TAGS_MAX = 200_000;

export async function listTags(
  ask: Ask,
  signal: AbortSignal | undefined,
): Promise<Result<readonly string[]>> {
  const tags = new Set<string>();
  let path = `tags/list?n=${PAGE_TAGS}`;
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const response = await ask.send({
      method: 'GET',
      path,
      actions: 'pull',
      headers: { accept: 'application/json' },
      redirects: 'same-origin',
      cap: PAGE_BYTES,
      what: 'the list of tags',
      signal,
    });
    if (!response.ok) return response;
    if (response.value.status === 404) {
      await discardBody(response.value);
      return ok([...tags]);
    }
    if (response.value.status !== 200) return ask.refuseStatus(response.value);
    const found = readPage(ask, await readBody(response.value));
    if (!found.ok) return found;
    const before = tags.size;
    for (const tag of found.value) tags.add(tag);
    if (tags.size > TAGS_MAX) return bad(ask, `it lists more than ${TAGS_MAX} tags`);
    if (response.value.headers.link === undefined) return ok([...tags]);
    const next = nextPage(ask, response.value);
    if (next === null) return bad(ask, 'it names a next page that is not of this list');
    if (tags.size === before) return bad(ask, 'its list of tags does not end');
    path = next;
  }
  return bad(ask, `its list of tags has more than ${PAGES_MAX} pages`);
}

function readPage(ask: Ask, body: Result<Uint8Array>): Result<readonly string[]> {
  if (!body.ok) return body;
  const json = readStrictJson(body.value, 'the list of tags');
  if (!json.ok) return json;
  const tags = isJsonObject(json.value) ? (json.value.tags ?? []) : null;
  if (!Array.isArray(tags)) return bad(ask, 'its list of tags is no list');
  return ok(
    (tags as readonly Json[]).filter((tag) => typeof tag === 'string' && isTag(tag)) as string[],
  );
}

/** `Link: </v2/plant/state/tags/list?last=x&n=1000>; rel="next"`; null for every other address */
function nextPage(ask: Ask, response: LinkResponse): string | null {
  const header = response.headers.link ?? '';
  const target = /^\s*<([^<>]{1,2048})>\s*;\s*rel="?next"?\s*$/i.exec(header)?.[1];
  const url = ownAddress(ask, target, response.url);
  return url !== null && url.pathname === `${ask.base}tags/list` ? url.href : null;
}

function bad(ask: Ask, reason: string): Result<never> {
  return refuse('link.bad-response', { peer: ask.name, reason });
}
