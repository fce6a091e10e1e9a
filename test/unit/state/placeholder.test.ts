/** `${name}` in commands and environments. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the documents own placeholders
import { describe, expect, test } from 'bun:test';
import { fillPlaceholders, placeholderNames } from '#state/placeholder.ts';

const values = new Map([
  ['port', '8080'],
  ['nested', '${port}'],
]);

describe('placeholders', () => {
  for (const [text, names, filled] of [
    ['plain $HOME $$ {x}', [], 'plain $HOME $$ {x}'],
    ['--port=${port}', ['port'], '--port=8080'],
    ['${port}${port}', ['port', 'port'], '80808080'],
    ['$${port}', [], '${port}'],
    ['$$${port}', [], '$${port}'],
    ['${nested}', ['nested'], '${port}'],
    ['${a.b-c_1}', ['a.b-c_1'], '${a.b-c_1}'],
  ] as const) {
    test(`${text} becomes ${filled}`, () => {
      expect(placeholderNames(text)).toEqual([...names]);
      expect(fillPlaceholders(text, values)).toBe(filled);
    });
  }

  for (const text of ['${', '${}', '${1a}', '${a b}', '${a', '${${port}}', '${a:-b}']) {
    test(`${text} names nothing`, () => expect(placeholderNames(text)).toBeNull());
  }
});
