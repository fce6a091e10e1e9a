/**
 * Text that leaves the device in a status: one line, bounded, without paths of the device (FORMATS:
 * Status) and without anything that is no text. Linear in its input.
 */
const PATH = /(^|[\s"'`(=,:])\/(?!\/)[^\s"'`),:;]+/g;

/** @param bytesMax  bytes of UTF-8, the mark of the cut included */
export function statusText(text: string, bytesMax: number): string {
  const plain = text
    .slice(0, 4 * bytesMax)
    .toWellFormed()
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ')
    .replace(PATH, '$1<path>')
    .trim();
  return cutTo(plain, bytesMax);
}

function cutTo(text: string, bytesMax: number): string {
  if (bytesMax <= 0) return '';
  const bytes = new TextEncoder().encode(text);
  if (bytes.length <= bytesMax) return text;
  const mark = '…';
  let end = bytesMax - 3;
  if (end <= 0) return '';
  // Not in the middle of a character: continuation bytes are 10xxxxxx.
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return new TextDecoder().decode(bytes.subarray(0, end)) + mark;
}
