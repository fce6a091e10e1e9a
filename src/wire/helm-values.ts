/**
 * Parameters of a deployment as the values of a chart: dot paths as `helm --set` has them, into nested
 * objects, each value of the type that was written (MARGO.md section 5). `\.` is a dot in a name, `[0]` an
 * element of a list. Values are data: nothing of them is read again, as a path or as a template. Pure.
 * @see https://helm.sh/docs/intro/using_helm/#the-format-and-limitations-of---set
 */
import type { Parameter } from '#state/deployment.ts';

export type HelmValues = { readonly [name: string]: unknown };

export type HelmValuesRead =
  | { readonly kind: 'values'; readonly values: HelmValues }
  /** what is wrong with which parameter */
  | { readonly kind: 'wrong'; readonly parameter: string; readonly reason: string };

/** names of one path; elements that a list may be given by index */
const DEPTH_MAX = 16;
const INDEX_MAX = 255;
const NAME_MAX = 253;

type Node = { [name: string]: unknown } | unknown[];

interface Tree {
  readonly root: { [name: string]: unknown };
  /** Nodes that paths made: a list or an object that is a value is nobody's to go into. */
  readonly made: Set<unknown>;
}

/** @param textOfParameter  the text of a parameter that is no literal */
export function helmValues(
  parameters: readonly Parameter[],
  component: string,
  textOfParameter: (name: string) => string,
): HelmValuesRead {
  const tree: Tree = { root: Object.create(null), made: new Set() };
  for (const { name, value, targets } of parameters) {
    const typed = value.kind === 'literal' ? (value.typed ?? value.text) : textOfParameter(name);
    for (const { pointer, components } of targets) {
      if (!components.includes(component)) continue;
      const path = readHelmPath(pointer);
      if (path === null) {
        return { kind: 'wrong', parameter: name, reason: `"${pointer}" is no path into values` };
      }
      const reason = put(tree, path, typed);
      if (reason !== null) return { kind: 'wrong', parameter: name, reason };
    }
  }
  return { kind: 'values', values: tree.root };
}

/** Names and indices; null: it is none. */
export function readHelmPath(pointer: string): readonly (string | number)[] | null {
  const path: (string | number)[] = [];
  let at = 0;
  while (at < pointer.length) {
    const [whole = '', name = ''] =
      /^((?:\\[\\.,=[\]]|[^\\.,=[\]\p{Cc}])+)/u.exec(pointer.slice(at)) ?? [];
    if (name === '') return null;
    path.push(name.replaceAll(/\\(.)/g, '$1'));
    at += whole.length;
    for (let index = indexAt(pointer, at); index; index = indexAt(pointer, at)) {
      if (index.value > INDEX_MAX) return null;
      path.push(index.value);
      at += index.length;
    }
    if (at === pointer.length) break;
    if (pointer[at] !== '.' || at === pointer.length - 1) return null;
    at += 1;
  }
  const fits = path.every((part) => typeof part === 'number' || part.length <= NAME_MAX);
  return path.length > 0 && path.length <= DEPTH_MAX && fits ? path : null;
}

function indexAt(text: string, at: number) {
  const [whole, digits] = /^\[(0|[1-9][0-9]{0,3})\]/.exec(text.slice(at, at + 8)) ?? [];
  return whole === undefined ? null : { value: Number(digits), length: whole.length };
}

/** What stands in the way; null: it is there now. */
function put(
  { root, made }: Tree,
  path: readonly (string | number)[],
  value: unknown,
): string | null {
  let node: Node = root;
  for (const [position, part] of path.entries()) {
    const next = path[position + 1];
    const held = get(node, part);
    if (held === CLASH) return `${textOf(path)} is a list in one place and none in another`;
    if (next === undefined) {
      if (held !== undefined) return `${textOf(path)} is set twice`;
      set(node, part, value);
      return null;
    }
    const isNode = made.has(held);
    if (held !== undefined && !isNode) return `${textOf(path)} goes through a value`;
    const below: Node = isNode
      ? (held as Node)
      : typeof next === 'number'
        ? []
        : Object.create(null);
    made.add(below);
    set(node, part, below);
    node = below;
  }
  return null;
}

const CLASH = Symbol('clash');

function get(node: Node, part: string | number): unknown {
  if (Array.isArray(node) !== (typeof part === 'number')) return CLASH;
  return Array.isArray(node) ? node[Number(part)] : node[part];
}

function set(node: Node, part: string | number, value: unknown): void {
  if (!Array.isArray(node)) {
    node[part] = value;
    return;
  }
  while (node.length < Number(part)) node.push(undefined);
  node[Number(part)] = value;
}

function textOf(path: readonly (string | number)[]): string {
  return path.map((part) => (typeof part === 'number' ? `[${part}]` : part)).join('.');
}

/** JSON, which is YAML; the same values always give the same text. An element that nobody set is null. */
export function helmValuesText(values: HelmValues): string {
  return `${JSON.stringify(sorted(values))}\n`;
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return Array.from(value, (one) => sorted(one ?? null));
  if (typeof value !== 'object' || value === null) return value;
  const into: { [name: string]: unknown } = Object.create(null);
  for (const [name, one] of Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) {
    into[name] = sorted(one);
  }
  return into;
}
