/** Errors as the older dialects of Margo have them: `{error}`, and `{status, errors[]}` of what was checked. */
import type { ServedResponse } from '#platform/listener.ts';
import { MARGO_MEDIA } from '#state/margo.ts';
import type { FieldProblem } from '#wire/margo-problem.ts';
import { isJsonObject, readStrictJson } from '#wire/strict-json.ts';

type Headers = Readonly<Record<string, string>>;

export function olderError(status: number, error: string, headers: Headers = {}): ServedResponse {
  return body(status, { error }, headers);
}

export function olderProblem(
  status: number,
  error: string,
  errors: readonly FieldProblem[],
): ServedResponse {
  const listed = errors.map(({ field, message }) => ({ rule_id: field, error: message }));
  return body(status, { error, status: 'validation_failed', errors: listed }, {});
}

/** What rc3 answers: problem details become `{error}`, and what never changes is public. */
export function olderAnswer(answer: ServedResponse): ServedResponse {
  const { status, headers = {}, body: said } = answer;
  const cache = headers['cache-control'];
  if (cache?.includes('immutable')) {
    return {
      ...answer,
      headers: { ...headers, 'cache-control': cache.replace('private', 'public') },
    };
  }
  if (headers['content-type'] !== MARGO_MEDIA.problem || typeof said !== 'string') return answer;
  const read = readStrictJson(Buffer.from(said), 'a problem');
  const { detail, title } = read.ok && isJsonObject(read.value) ? read.value : {};
  return olderError(status, `${detail ?? title ?? 'refused'}`, without(headers, 'content-type'));
}

function body(status: number, value: object, headers: Headers): ServedResponse {
  const typed = { ...headers, 'content-type': 'application/json' };
  return { status, headers: typed, body: JSON.stringify(value) };
}

function without(headers: Headers, name: string): Headers {
  return Object.fromEntries(Object.entries(headers).filter(([key]) => key !== name));
}
