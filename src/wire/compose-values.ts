/**
 * The values of compose files, in their short and long forms: ports, mounts, durations, sizes,
 * commands. Variables are filled in where text is read, so numbers may be text. A fault names line
 * and column (config.invalid), which the reader of a project turns into its refusal.
 */
import type { Refused } from '#errors/fault.ts';
import type { ComposeMount, ComposePort, ComposeVariables } from '#state/compose.ts';
import { fillIn } from './compose-variables.ts';
import { plainly } from './quote.ts';
import type { Yaml, YamlDocument, YamlPath } from './yaml-document.ts';

/** Thrown inside the readers of compose files alone, and caught by `readCompose`. */
export class Unreadable extends Error {
  readonly refusal: Refused;
  constructor(refusal: Refused) {
    super(refusal.fault.message);
    this.refusal = refusal;
  }
}

/** One value and where it stands. */
export interface At {
  readonly document: YamlDocument;
  readonly variables: ComposeVariables;
  readonly path: YamlPath;
  readonly value: Yaml | undefined;
}

export function bad(at: At, expected: string): never {
  throw new Unreadable(at.document.refuse(at.path, `expected ${plainly(expected)}`));
}

export function child(at: At, key: string | number): At {
  const { value } = at;
  const holder = typeof value === 'object' && value !== null ? value : {};
  const inner = (holder as Readonly<Record<string | number, Yaml | undefined>>)[key];
  return { ...at, path: [...at.path, key], value: inner };
}

export function present({ value }: At): boolean {
  return value !== undefined && value !== null;
}

/** By name; `expected` is for people. Extensions (`x-…`) are left out. */
export function entries(at: At): readonly (readonly [string, At])[] {
  const { value } = at;
  if (!present(at)) return [];
  if (typeof value !== 'object' || value === null || Array.isArray(value)) bad(at, 'a mapping');
  return Object.keys(value as object)
    .filter((key) => !key.startsWith('x-'))
    .map((key) => [key, child(at, key)] as const);
}

export function items(at: At): readonly At[] {
  if (!present(at)) return [];
  if (!Array.isArray(at.value)) bad(at, 'a list');
  return (at.value as readonly Yaml[]).map((_, index) => child(at, index));
}

/** Refuses members that are not read here: what is passed over in silence would not be in force. */
export function only(at: At, known: readonly string[]): void {
  for (const [key, { document, path }] of entries(at)) {
    if (known.includes(key)) continue;
    throw new Unreadable(
      document.refuseKey(
        path,
        `${plainly(key.slice(0, 80))} is not supported here; known are ${known.join(', ')}`,
      ),
    );
  }
}

export function text(at: At): string {
  const { value } = at;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (typeof value !== 'string') bad(at, 'text');
  const filled = fillIn(value as string, at.variables);
  return 'reason' in filled ? bad(at, filled.reason) : filled.text;
}

export function optionalText(at: At): string | null {
  return present(at) ? text(at) : null;
}

export function matching(at: At, form: RegExp, expected: string): string {
  const found = text(at);
  return form.test(found) ? found : bad(at, expected);
}

export function flag(at: At): boolean | null {
  if (!present(at)) return null;
  const found = text(at);
  return found === 'true' ? true : found === 'false' ? false : bad(at, 'true or false');
}

export function whole(at: At, min: number, max: number): number {
  const found = Number(matching(at, /^-?[0-9]{1,15}$/, 'a whole number'));
  return found >= min && found <= max ? found : bad(at, `a number from ${min} to ${max}`);
}

/** `1m30s`, in ms. */
export function durationMs(at: At): number {
  const found = matching(
    at,
    /^(?=.)(?:[0-9]{1,9}h)?(?:[0-9]{1,9}m(?!s))?(?:[0-9.]{1,9}s)?(?:[0-9]{1,9}ms)?(?:[0-9]{1,9}us)?$/,
    'a duration such as "1m30s"',
  );
  const part = (unit: string) => Number(new RegExp(`([0-9.]+)${unit}`).exec(found)?.[1] ?? 0);
  const [hours, minutes, seconds] = [part('h'), part('m(?!s)'), part('(?<!m|u)s')];
  const ms = hours * 3_600_000 + minutes * 60_000 + seconds * 1_000 + part('ms');
  return Number.isFinite(ms) && ms <= 2 ** 31 ? Math.round(ms) : bad(at, 'a shorter duration');
}

const UNITS: Readonly<Record<string, number>> = { '': 1, b: 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

/** `64m`, `1gb`, `512Mi`, or bytes. */
export function bytes(at: At): number {
  const found = matching(
    at,
    /^[0-9]{1,15}(?:\.[0-9]+)?(?:[bkmg]|[kmg]i?b?)?$/i,
    'a size such as "64m"',
  );
  const number = Number.parseFloat(found);
  const unit = /[a-z]/i.exec(found)?.[0].toLowerCase() ?? '';
  return Math.round(number * (UNITS[unit] ?? 1));
}

/** A list, or text that is split as a shell would (no expansion). Null: the image's own. */
export function words(at: At): readonly string[] | null {
  if (!present(at)) return null;
  return Array.isArray(at.value) ? items(at).map(text) : split(at, text(at));
}

const WORD = /\s*((?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+)\s*/suy;
const PIECE = /\\(.)|"((?:[^"\\]|\\.)*)"|'([^']*)'|([^\s"'\\]+)/gsu;

function split(at: At, found: string): readonly string[] {
  const made: string[] = [];
  WORD.lastIndex = 0;
  while (WORD.lastIndex < found.length) {
    const word = WORD.exec(found);
    if (!word) return found.trim() === '' ? made : bad(at, 'quotes that are closed');
    made.push((word[1] ?? '').replace(PIECE, unquoted));
  }
  return made;
}

function unquoted(piece: string, ...[escaped, double, single]: readonly string[]): string {
  return escaped ?? double?.replace(/\\(["\\$`])/g, '$1') ?? single ?? piece;
}

/** A mapping, or a list of `NAME=value`; a name alone has the value of the variable, if any. */
export function pairs(at: At): Readonly<Record<string, string>> {
  const read: Record<string, string> = Object.create(null);
  const alone = (name: string) => at.variables.plain.get(name);
  if (Array.isArray(at.value)) {
    for (const item of items(at)) {
      const found = text(item);
      const equals = found.indexOf('=');
      const name = equals < 0 ? found : found.slice(0, equals);
      const value = equals < 0 ? alone(name) : found.slice(equals + 1);
      if (name === '') bad(item, 'NAME=value');
      if (value !== undefined) read[name] = value;
    }
    return read;
  }
  for (const [name, item] of entries(at)) {
    const value = item.value === null ? alone(name) : text(item);
    if (value !== undefined) read[name] = value;
  }
  return read;
}

/** One or a list of them. */
export function oneOrMore(at: At): readonly string[] {
  if (!present(at)) return [];
  return Array.isArray(at.value) ? items(at).map(text) : [text(at)];
}

const PORTS_MAX = 1_024;

export function ports(at: At): readonly ComposePort[] {
  const read = items(at).flatMap((item) =>
    typeof item.value === 'object' && item.value !== null ? [longPort(item)] : shortPorts(item),
  );
  return read.length > PORTS_MAX ? bad(at, `at most ${PORTS_MAX} ports`) : read;
}

function longPort(at: At): ComposePort {
  only(at, ['target', 'published', 'host_ip', 'protocol', 'mode', 'name', 'app_protocol']);
  const protocol = optionalText(child(at, 'protocol')) ?? 'tcp';
  if (protocol !== 'tcp' && protocol !== 'udp') bad(child(at, 'protocol'), 'tcp or udp');
  const published = child(at, 'published');
  return {
    container: whole(child(at, 'target'), 1, 65_535),
    protocol: protocol as ComposePort['protocol'],
    host: present(published) ? String(whole(published, 1, 65_535)) : '',
    address: optionalText(child(at, 'host_ip')) ?? '',
  };
}

const SHORT_PORT =
  /^(?:(?<address>\[[0-9a-fA-F:]+\]|[0-9]{1,3}(?:\.[0-9]{1,3}){3}):)?(?:(?<host>[0-9]{1,5}(?:-[0-9]{1,5})?)?:)?(?<container>[0-9]{1,5}(?:-[0-9]{1,5})?)(?:\/(?<protocol>tcp|udp))?$/;

function shortPorts(at: At): readonly ComposePort[] {
  const groups = SHORT_PORT.exec(text(at))?.groups;
  if (!groups) return bad(at, 'a port such as "8080:80" or "127.0.0.1:8080:80/udp"');
  const { address = '', host = '', container = '', protocol = 'tcp' } = groups;
  const inside = range(at, container);
  const outside = host === '' ? null : range(at, host);
  if (outside && outside.length !== inside.length) bad(at, 'ranges of the same length');
  return inside.map((port, index) => ({
    container: port,
    protocol: protocol as ComposePort['protocol'],
    host: outside ? String(outside[index]) : '',
    address: address.replace(/^\[|\]$/g, ''),
  }));
}

function range(at: At, found: string): readonly number[] {
  const [first = 0, last = first] = found.split('-').map(Number);
  if (first < 1 || last > 65_535 || last < first || last - first >= PORTS_MAX) {
    bad(at, 'ports from 1 to 65535');
  }
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

/** An absolute path inside a container. */
export function insidePath(at: At): string {
  return matching(
    at,
    /^\/(?!.*(?:^|\/)\.\.(?:\/|$))[^\0]{0,1000}$/,
    'an absolute path without ".."',
  );
}

/** Where a mount comes from: the package, this device, or a volume. */
export function mountFrom(
  at: At,
  source: string,
  rest: { readonly target: string; readonly readOnly: boolean },
): ComposeMount {
  if (source.startsWith('/')) {
    const path = source.replace(/\/+/g, '/').replace(/(.)\/$/, '$1');
    if (/(?:^|\/)\.\.?(?:\/|$)/.test(path)) bad(at, 'a path without "." and ".."');
    return { kind: 'bind', path, ...rest };
  }
  if (/^[.~]/.test(source)) {
    return { kind: 'package', path: packagePath(at, source), target: rest.target };
  }
  if (!VOLUME.test(source)) bad(at, 'the name of a volume');
  return { kind: 'volume', name: source, ...rest };
}

const VOLUME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;

/** Below the folder of compose.yaml: `./a/b`, never above it. */
export function packagePath(at: At, source: string): readonly string[] {
  const parts = source.split('/').filter((part) => part !== '' && part !== '.');
  const odd = source.startsWith('/') || source.startsWith('~') || source.includes('\0');
  if (odd || parts.includes('..')) bad(at, 'a path inside the folder of compose.yaml');
  return parts;
}
