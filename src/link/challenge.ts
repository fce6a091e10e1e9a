/**
 * WWW-Authenticate, read strictly: what does not fit the grammar is no challenge. Bounded in length
 * and number before anything is looked at.
 * @see RFC 9110 sections 11.2, 11.3 and 11.6.1
 */
import { ok, type Result, refuse } from '#errors/fault.ts';

export interface Challenge {
  /** in lower case */
  readonly scheme: string;
  /** names in lower case */
  readonly parameters: ReadonlyMap<string, string>;
}

const HEADER_LENGTH_MAX = 8 * 1024;
const CHALLENGES_MAX = 8;
const PARAMETERS_MAX = 16;

const SEPARATORS = /[\t ,]*/y;
const SCHEME = /([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?: +|(?=,)|$)/y;
const PARAMETER =
  /([!#$%&'*+.^_`|~0-9A-Za-z-]+)[\t ]*=[\t ]*(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)|"((?:[\t \x21\x23-\x5b\x5d-\x7e]|\\[\t \x21-\x7e])*)")[\t ]*(?:,[\t ,]*|$)/y;
const TOKEN68 = /[A-Za-z0-9._~+/-]+=*[\t ]*(?:,|$)/y;

/** @returns `link.bad-response` for a header that is not of the form */
export function readChallenges(header: string, peer: string): Result<readonly Challenge[]> {
  const challenges = header.length <= HEADER_LENGTH_MAX ? parse(header) : null;
  return challenges === null
    ? refuse('link.bad-response', { peer, reason: 'its WWW-Authenticate cannot be read' })
    : ok(challenges);
}

function parse(header: string): readonly Challenge[] | null {
  const challenges: Challenge[] = [];
  const cursor = { at: 0 };
  take(SEPARATORS, header, cursor);
  while (cursor.at < header.length) {
    const scheme = take(SCHEME, header, cursor)?.[1];
    if (scheme === undefined || challenges.length === CHALLENGES_MAX) return null;
    const parameters = parseParameters(header, cursor);
    if (parameters === null) return null;
    challenges.push({ scheme: scheme.toLowerCase(), parameters });
    take(SEPARATORS, header, cursor);
  }
  return challenges;
}

function parseParameters(
  header: string,
  cursor: { at: number },
): ReadonlyMap<string, string> | null {
  const parameters = new Map<string, string>();
  for (;;) {
    const found = take(PARAMETER, header, cursor);
    if (found === null) break;
    const name = (found[1] ?? '').toLowerCase();
    if (parameters.has(name) || parameters.size === PARAMETERS_MAX) return null;
    parameters.set(name, found[2] ?? (found[3] ?? '').replace(/\\(.)/g, '$1'));
  }
  // "Negotiate dG9rZW4=": a scheme of that form is none of ours, its token is passed over.
  if (parameters.size === 0) take(TOKEN68, header, cursor);
  return parameters;
}

function take(pattern: RegExp, text: string, cursor: { at: number }): RegExpExecArray | null {
  pattern.lastIndex = cursor.at;
  const found = pattern.exec(text);
  if (found !== null) cursor.at = pattern.lastIndex;
  return found;
}
