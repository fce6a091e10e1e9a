/**
 * Foreign text inside messages: quoted, shortened, and free of anything that a terminal, a log or
 * a person could mistake (controls, bidirectional marks, lone surrogates).
 */
const SHOWN_MAX = 80;
const PLAIN = /[\p{L}\p{M}\p{N}\p{P}\p{S} ]/u;

/** `"text"`, at most 80 characters of it; what is not printable as `\u{…}`. */
export function quote(text: string): string {
  let shown = '';
  let count = 0;
  for (const character of text) {
    if (count === SHOWN_MAX) return `"${shown}…"`;
    shown += escaped(character);
    count += 1;
  }
  return `"${shown}"`;
}

const SENTENCE_MAX = 400;

/** Names of a file inside a sentence, shortened; what is not printable as `\u{…}`. */
export function plainly(text: string): string {
  const cut = text.length > SENTENCE_MAX ? `${text.slice(0, SENTENCE_MAX - 1)}…` : text;
  const code = (character: string) => (character.codePointAt(0) ?? 0).toString(16);
  return cut.toWellFormed().replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, (one) => `\\u{${code(one)}}`);
}

function escaped(character: string): string {
  if (character === '"' || character === '\\') return `\\${character}`;
  if (PLAIN.test(character)) return character;
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
}
