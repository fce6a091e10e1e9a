/**
 * An HTTP link that understands packed answers (DESIGN section 5, check 2: Margo sources decode gzip under
 * the cap). `identity` is asked for; a manager, or a proxy before it, that packs all the same is
 * understood, and digests are over what comes out. Packed and unpacked, a body is at most its cap.
 */
import { fault, ok, type Result, refused } from '#errors/fault.ts';
import type { Inflate } from '#platform/inflate.ts';
import { type HttpLink, type LinkRequest, type LinkResponse, readBody } from './http.ts';

export function unpacking(http: HttpLink, inflate: Pick<Inflate, 'gunzip'>): HttpLink {
  return {
    ...http,
    async send(request) {
      const response = await http.send({ ...request, gzip: true });
      const packed = response.ok && isPacked(response.value.headers);
      return packed ? ok(unpacked(response.value, request, inflate)) : response;
    },
  };
}

function isPacked(headers: LinkResponse['headers']): boolean {
  return headers['content-encoding']?.trim().toLowerCase() === 'gzip';
}

function unpacked(
  response: LinkResponse,
  { cap, what }: Pick<LinkRequest, 'cap' | 'what'>,
  inflate: Pick<Inflate, 'gunzip'>,
): LinkResponse {
  async function* body(): AsyncGenerator<Result<Uint8Array>> {
    const whole = await readBody(response);
    if (!whole.ok) return yield whole;
    for (const chunk of inflate.gunzip([ok(whole.value)], cap)) {
      if (chunk.ok) {
        yield chunk;
        continue;
      }
      const large = chunk.fault.code === 'source.too-large';
      const broken = { peer: response.url.host, encoding: 'a gzip that is damaged' };
      const why = large
        ? fault('link.too-large', { what, cap })
        : fault('link.encoding-refused', broken);
      return yield refused(why);
    }
  }
  return { ...response, body: body() };
}
