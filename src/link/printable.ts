/**
 * Text of a peer, made fit for a message: one line of printable characters, shortened. Peers choose
 * their error messages, certificate names and headers; logs and terminals must not obey them.
 */
const LENGTH_MAX = 200;

export function printable(text: string, lengthMax: number = LENGTH_MAX): string {
  // Controls, line and paragraph separators, and the format characters that turn text around.
  const plain = text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]+/gu, ' ').trim();
  return plain.length <= lengthMax ? plain : `${plain.slice(0, lengthMax)}…`;
}
