/** Foreign text in messages: nothing in it moves a cursor, hides, reorders or fills a page. */
import { describe, expect, test } from 'bun:test';
import { plainly } from '#wire/quote.ts';

describe('names of a file inside a sentence', () => {
  test('are as they stand where they can be printed', () => {
    expect(plainly('dépends "on" 日本')).toBe('dépends "on" 日本');
  });

  test('have no control, no mark of direction and no end of a line', () => {
    expect(plainly('depe\0nds\u202e\u2028_on\x1b[2J')).toBe(
      'depe\\u{0}nds\\u{202e}\\u{2028}_on\\u{1b}[2J',
    );
    expect(plainly('half \ud800')).toBe('half \ufffd');
  });

  test('are cut', () => {
    expect(plainly('x'.repeat(5_000))).toHaveLength(400);
  });
});
