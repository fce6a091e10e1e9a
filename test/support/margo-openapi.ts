/**
 * Judges what two sides of a Margo API said to each other by `margo/openapi.yaml`: the operation, its
 * parameters, the body by its schema, and of answers the number, the headers and the media type. Without
 * the file (it is no part of this tree) everything passes, and `present` says so.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { parse } from 'yaml';

const SHARED = process.env.HOLDFAST_VECTORS ?? join(import.meta.dir, '../../../shared');
const FILE = join(SHARED, 'margo/openapi.yaml');
export const present = existsSync(FILE);

export interface Exchange {
  readonly method: string;
  /** path with query, as sent; a prefix before `/api/v1` or `/.well-known` is passed over */
  readonly target: string;
  readonly headers: Headers;
  readonly body: string;
  readonly answer?: Answered;
}

export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
}

/** lower-case names */
export type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

type Node = Readonly<Record<string, unknown>>;

interface Operation {
  readonly id: string;
  readonly method: string;
  readonly path: RegExp;
  /** JSON pointer of the operation */
  readonly at: string;
  readonly parameters: readonly Located[];
}

/** A node with the pointer of where it really stands, behind any `$ref`. */
interface Located {
  readonly at: string;
  readonly node: Node;
}

const DOCUMENT: Node = present
  ? (parse(readFileSync(FILE, 'utf8'), { maxAliasCount: -1 }) as Node)
  : {};
const AJV = new Ajv2020({ strict: false, allErrors: true, validateFormats: false });
if (present) AJV.addSchema({ $id: 'margo', ...DOCUMENT });
const SCHEMAS = new Map<string, ValidateFunction>();
const OPERATIONS: readonly Operation[] = Object.entries(nodeOf(DOCUMENT.paths)).flatMap(
  ([path, item]) => operationsOf(path, nodeOf(item)),
);

/** What this client should not have sent; empty: nothing. Not of an operation of Margo: as well. */
export function misfitsOfRequest({ method, target, headers, body }: Exchange): readonly string[] {
  if (!present) return [];
  const found = operationOf(method, target);
  if (!found) return [`${method} ${target}: no operation of Margo`];
  const say = (text: string): string => `${found.operation.id}: ${text}`;
  const wrong: string[] = [];
  for (const { at, node } of found.operation.parameters) {
    const name = String(node.name);
    const value =
      node.in === 'path' ? found.path[name] : textOf(headers[name.toLowerCase()]) || undefined;
    if (value === undefined) {
      if (node.required === true) wrong.push(say(`${name} is missing`));
      continue;
    }
    wrong.push(...misfits(`${at}/schema`, value).map((text) => say(`${name}: ${text}`)));
  }
  const content = follow(`${found.operation.at}/requestBody`);
  if (content) wrong.push(...bodyMisfits(content, headers, body).map(say));
  return wrong;
}

/** What this server should not have answered to that request. */
export function misfitsOfAnswer({ method, target }: Exchange, answer: Answered): readonly string[] {
  if (!present) return [];
  const found = operationOf(method === 'HEAD' ? 'GET' : method, target);
  if (!found) return strangeMisfits(answer);
  const { id, at } = found.operation;
  const say = (text: string): string => `${id}: ${answer.status}: ${text}`;
  const response =
    follow(`${at}/responses/${answer.status}`) ??
    (isOlderRefusal(id, answer.status) ? follow('/components/responses/LegacyError') : null);
  // 413 belongs to HTTP: any server may cap what it reads.
  if (!response) return answer.status === 413 ? [] : [say('no answer of this operation')];
  const wrong: string[] = [];
  for (const [name, of] of Object.entries(nodeOf(response.node.headers))) {
    const header = follow(`${response.at}/headers/${escaped(name)}`) ?? {
      at: '',
      node: nodeOf(of),
    };
    const value = textOf(answer.headers[name.toLowerCase()]);
    if (value === '' && header.node.required === true) wrong.push(say(`${name} is missing`));
  }
  if (answer.status === 304 && answer.body !== '') wrong.push(say('it has a body'));
  if (method !== 'HEAD' && response.node.content !== undefined) {
    wrong.push(...bodyMisfits(response, answer.headers, answer.body).map(say));
  }
  return wrong;
}

/** The file forgets that reading may be refused as writing is (rules 9, 45, 72): then in the same words. */
function isOlderRefusal(operation: string, status: number): boolean {
  return operation.endsWith('Legacy') && [400, 401, 403, 404].includes(status);
}

/** By name under `components.schemas`. */
function misfitsOf(schema: string, value: unknown): readonly string[] {
  return present ? misfits(`/components/schemas/${schema}`, value) : [];
}

/** Outside of Margo's operations an error is still problem details (rule 65). */
function strangeMisfits({ status, headers, body }: Answered): readonly string[] {
  if (status < 400 || body === '') return [];
  const type = textOf(headers['content-type']);
  if (type !== 'application/problem+json') return [`${status} with the type ${type}`];
  return misfitsOf('Problem', JSON.parse(body));
}

function bodyMisfits({ at, node }: Located, headers: Headers, body: string): readonly string[] {
  const types = Object.keys(nodeOf(node.content));
  const type = textOf(headers['content-type']);
  if (!types.includes(type)) return [`the type ${type || 'nothing'}, not ${types.join(' or ')}`];
  if (!type.endsWith('json')) return [];
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return ['a body that is no JSON'];
  }
  return misfits(`${at}/content/${escaped(type)}/schema`, value);
}

function misfits(at: string, value: unknown): readonly string[] {
  const known = SCHEMAS.get(at) ?? AJV.compile({ $ref: `margo#${encodeURI(at)}` });
  SCHEMAS.set(at, known);
  if (known(value)) return [];
  return (known.errors ?? []).map(
    ({ instancePath, message }) => `${instancePath || '/'} ${message}`,
  );
}

function operationsOf(template: string, item: Node): readonly Operation[] {
  const here = `/paths/${escaped(template)}`;
  const shared = locatedList(`${here}/parameters`, item.parameters);
  return Object.entries(item).flatMap(([method, of]) => {
    if (!/^(?:get|put|post|delete)$/.test(method)) return [];
    const operation = nodeOf(of);
    const own = locatedList(`${here}/${method}/parameters`, operation.parameters);
    const parameters = [...shared, ...own];
    const multi = new Set(
      parameters.flatMap(({ node }) => (node['x-multi-segment'] ? [String(node.name)] : [])),
    );
    const source = template
      .replace(/[.]/g, '\\.')
      .replace(/\{(\w+)\}/g, (_, name) => `(?<${name}>${multi.has(name) ? '.+' : '[^/]+'})`);
    const id = String(operation.operationId);
    const path = new RegExp(`^${source}$`);
    return [{ id, method: method.toUpperCase(), path, at: `${here}/${method}`, parameters }];
  });
}

function operationOf(method: string, target: string) {
  const [whole = ''] = target.split('?', 1);
  const path = whole.slice(Math.max(0, whole.search(/\/(?:api\/v1|\.well-known)\//)));
  for (const operation of OPERATIONS) {
    if (operation.method !== method) continue;
    const match = operation.path.exec(path);
    if (!match) continue;
    const parts = Object.entries(match.groups ?? {}).map(([name, text]) => [
      name,
      decodeURIComponent(text),
    ]);
    return { operation, path: Object.fromEntries(parts) as Record<string, string> };
  }
  return null;
}

function locatedList(at: string, list: unknown): readonly Located[] {
  const count = Array.isArray(list) ? list.length : 0;
  return Array.from({ length: count }, (_, index) => follow(`${at}/${index}`)).flatMap(
    (one) => one ?? [],
  );
}

/** Null: nothing stands there. */
function follow(at: string): Located | null {
  let node: unknown = DOCUMENT;
  for (const part of at.split('/').slice(1)) {
    const key = part.replaceAll('~1', '/').replaceAll('~0', '~');
    node = typeof node === 'object' && node !== null ? (node as Node)[key] : undefined;
  }
  if (typeof node !== 'object' || node === null) return null;
  const { $ref } = node as Node;
  return typeof $ref === 'string' ? follow($ref.slice(1)) : { at, node: node as Node };
}

function nodeOf(value: unknown): Node {
  return typeof value === 'object' && value !== null ? (value as Node) : {};
}

function escaped(part: string): string {
  return part.replaceAll('~', '~0').replaceAll('/', '~1');
}

function textOf(value: string | readonly string[] | undefined): string {
  return typeof value === 'string' ? value : (value?.join(', ') ?? '');
}
