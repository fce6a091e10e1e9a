/**
 * `${NAME}` in compose files, as the Compose Specification fills it in: with defaults, alternatives
 * and demands, nested once and again; `$$` is a dollar. Text in, text out: what comes out is read as
 * a value and never as YAML, so a variable cannot add a member.
 * @see https://github.com/compose-spec/compose-spec/blob/main/12-interpolation.md
 */
import type { ComposeVariables } from '#state/compose.ts';
import { quote } from './quote.ts';

export type Filled = { readonly text: string } | { readonly reason: string };

const DEPTH_MAX = 8;
/** characters of one value, filled in: variables in variables may not grow without bound */
const LENGTH_MAX = 64 * 1024;
const NAME = /^[A-Za-z_][A-Za-z0-9_]*/;

export function fillIn(text: string, variables: ComposeVariables, depth = 0): Filled {
  if (!text.includes('$')) return { text };
  if (depth > DEPTH_MAX) return { reason: `variables nested more than ${DEPTH_MAX} times` };
  let made = '';
  for (let at = 0; at < text.length; ) {
    const dollar = text.indexOf('$', at);
    if (dollar < 0) {
      made += text.slice(at);
      break;
    }
    made += text.slice(at, dollar);
    const next = one(text, dollar, variables, depth);
    if ('reason' in next) return next;
    made += next.text;
    at = next.end;
    if (made.length > LENGTH_MAX) return { reason: `more than ${LENGTH_MAX} characters` };
  }
  return { text: made };
}

type One = { readonly text: string; readonly end: number } | { readonly reason: string };

function one(text: string, dollar: number, variables: ComposeVariables, depth: number): One {
  const rest = text.slice(dollar + 1);
  if (rest.startsWith('$')) return { text: '$', end: dollar + 2 };
  if (!rest.startsWith('{')) {
    const name = NAME.exec(rest)?.[0];
    if (name === undefined) return { reason: 'a "$" that begins no variable: write "$$"' };
    const value = known(name, variables);
    return 'reason' in value ? value : { text: value.text ?? '', end: dollar + 1 + name.length };
  }
  const close = closing(text, dollar + 1);
  if (close < 0) return { reason: `a "$\{" without its "}"` };
  const filled = expression(text.slice(dollar + 2, close), variables, depth);
  return 'reason' in filled ? filled : { text: filled.text, end: close + 1 };
}

/** The brace that ends the one at `open`. */
function closing(text: string, open: number): number {
  let inside = 0;
  for (let at = open; at < text.length; at += 1) {
    if (text[at] === '{') inside += 1;
    if (text[at] === '}') inside -= 1;
    if (inside === 0) return at;
  }
  return -1;
}

function expression(inner: string, variables: ComposeVariables, depth: number): Filled {
  const name = NAME.exec(inner)?.[0];
  if (name === undefined) return { reason: `no variable's name in ${quote(inner)}` };
  const value = known(name, variables);
  if ('reason' in value) return value;
  const rest = inner.slice(name.length);
  if (rest === '') return { text: value.text ?? '' };
  const colon = rest.startsWith(':');
  const operator = rest[colon ? 1 : 0] ?? '';
  const word = rest.slice(colon ? 2 : 1);
  const there = colon ? (value.text ?? '') !== '' : value.text !== null;
  switch (operator) {
    case '-':
      return there ? { text: value.text ?? '' } : fillIn(word, variables, depth + 1);
    case '+':
      return there ? fillIn(word, variables, depth + 1) : { text: '' };
    case '?':
      if (there) return { text: value.text ?? '' };
      return {
        reason: `the variable ${name} to have a value${word === '' ? '' : ` (${quote(word)})`}`,
      };
    default:
      return { reason: `\${NAME}, with ":-", "-", ":?", "?", ":+" or "+" behind the name` };
  }
}

function known(
  name: string,
  { plain, sealed }: ComposeVariables,
): { readonly text: string | null } | { readonly reason: string } {
  if (sealed.has(name)) {
    return {
      reason: `no sealed value where others read it: give ${name} to a secret (environment: ${name})`,
    };
  }
  return { text: plain.get(name) ?? null };
}
