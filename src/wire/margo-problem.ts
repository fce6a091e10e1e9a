/**
 * Problem details as Margo uses them (RFC 9457; MARGO.md section 8). A reader decides by `type` as a
 * whole, never fetches it, and takes the older bodies by their status; unknown members are ignored
 * (M20, M65, M68).
 */
import { isJsonObject, type Json, readStrictJson } from './strict-json.ts';

const BASE = 'https://docs.margo.org/specification/problem-types#';
/** one page of the specification has a slash there */
const BASES = [BASE, 'https://docs.margo.org/specification/problem-types/'];
const TEXT_MAX = 200;

/** The problem types of Margo with their status and title. */
export const PROBLEMS = {
  'invalid-request': [400, 'Invalid Request'],
  'semantic-error': [422, 'Semantic Error'],
  'not-authorized': [403, 'Not Authorized'],
  'gateway-not-found': [404, 'Gateway Not Found'],
  'device-not-found': [404, 'Device Not Found'],
  'invalid-bundle': [404, 'Invalid Bundle'],
  'deployment-not-found': [404, 'Deployment Not Found'],
  'server-cannot-generate-response': [406, 'Server Cannot Generate Response'],
} as const;
export type ProblemKind = keyof typeof PROBLEMS;

export interface FieldProblem {
  readonly field: string;
  readonly message: string;
}

/** JSON text; every member that a client may rely on is there. */
export function writeProblem(
  kind: ProblemKind,
  detail: string,
  errors: readonly FieldProblem[] = [],
): string {
  const [status, title] = PROBLEMS[kind];
  const fields = errors.length > 0 ? { errors } : {};
  return JSON.stringify({ type: `${BASE}${kind}`, title, status, detail, ...fields });
}

/** A problem that has no type of its own: 404, 429, 500, 503. */
export function writePlainProblem(
  status: number,
  title: string,
  retryAfterSeconds: number | null = null,
): string {
  const retry =
    retryAfterSeconds === null
      ? {}
      : { retryable: true, retryAfterSeconds, backoffStrategy: 'exponential' };
  return JSON.stringify({ type: 'about:blank', title, status, ...retry });
}

export interface Problem {
  /** one of Margo's own; null: another one, or none */
  readonly kind: ProblemKind | null;
  /** for people, at most 200 characters; not yet safe to print */
  readonly title: string;
  readonly retryAfterSeconds: number | null;
}

/** Anything is read: what is not there, or has another type, is as if it were not. */
export function readProblem(body: Uint8Array): Problem {
  const json = readStrictJson(body, 'a problem');
  const value: Json = json.ok ? json.value : null;
  if (!isJsonObject(value)) return { kind: null, title: '', retryAfterSeconds: null };
  const { type, title, detail, error, message, status, retryAfterSeconds } = value;
  const said = [title, detail, error, message, status].filter((part) => typeof part === 'string');
  const seconds = typeof retryAfterSeconds === 'number' ? retryAfterSeconds : Number.NaN;
  return {
    kind: typeof type === 'string' ? kindOf(type) : null,
    title: said.join(': ').slice(0, TEXT_MAX),
    retryAfterSeconds: Number.isSafeInteger(seconds) && seconds >= 0 ? seconds : null,
  };
}

function kindOf(type: string): ProblemKind | null {
  const base = BASES.find((prefix) => type.startsWith(prefix));
  const name = base === undefined ? '' : type.slice(base.length);
  return Object.hasOwn(PROBLEMS, name) ? (name as ProblemKind) : null;
}
