/** YAML: places in messages, the schema pieces, and what is refused before a schema sees it. */
import { describe, expect, test } from 'bun:test';
import * as v from 'valibot';
import { byteSize, closed, duration, readYaml } from '#wire/yaml.ts';
import { openYaml } from '#wire/yaml-document.ts';
import { bytesOf, codeOf, granted, messageOf } from '../../support/wire-samples.ts';

const anything = v.unknown();
const read = (text: string, schema: v.GenericSchema = anything) =>
  readYaml(bytesOf(text), 'agent.yaml', schema);

const schema = closed({
  name: v.string(),
  port: v.optional(v.number()),
  every: v.optional(duration(), '5m'),
  cap: v.optional(byteSize(), '64Mi'),
  auth: v.optional(closed({ password: v.string() })),
  list: v.optional(v.array(closed({ on: v.boolean() })), []),
});

describe('documents are read', () => {
  test('mappings, lists and scalars of the core schema', () => {
    const text = 'a: [1, -2.5, true, no, ~, "x\\u00e9", 0x1f, 1e3]\nb:\n  - {c: |\n      text}\n';
    expect(read('a: [1, -2.5, true, no, ~, "x\\u00e9", 0x1f, 1e3]\n').ok).toBe(true);
    expect(granted(read(text.split('b:')[0] ?? ''))).toEqual({
      a: [1, -2.5, true, 'no', null, 'xé', 31, 1000],
    });
  });

  test('durations and sizes become ms and bytes, defaults too', () => {
    const text = 'name: a\nevery: 1m30s\ncap: 4096\nlist: [{on: true}]\n';
    expect(granted(read(text, schema))).toMatchObject({ every: 90_000, cap: 4_096 });
    expect(granted(read('name: a', schema))).toMatchObject({ every: 300_000, cap: 67_108_864 });
  });
});

describe('a fault names file, line and column and what was expected', () => {
  for (const [title, text, message] of [
    ['an unknown key', 'name: a\n  \nnaem: b\n', 'agent.yaml:3:1: unknown key "naem"'],
    [
      'an unknown key inside',
      'name: a\nlist:\n  - {on: true, of: 1}\n',
      'agent.yaml:3:16: list[0]: unknown key "of"',
    ],
    ['a key that is missing', 'port: 5\n', 'agent.yaml:1:1: name is missing'],
    ['an unknown key before one that is missing', 'nam: a\n', 'agent.yaml:1:1: unknown key "nam"'],
    [
      'a number for text',
      'name: 5\n',
      'agent.yaml:1:7: name: expected text (put it in quotes), found 5',
    ],
    [
      'text for a number',
      'name: a\nport: "80"\n',
      'agent.yaml:2:7: port: expected a number, found "80"',
    ],
    [
      'the norway problem (P10)',
      'name: a\nlist: [{on: no}]\n',
      'agent.yaml:2:13: list[0].on: expected true or false, found "no"',
    ],
    [
      'a bad duration',
      'name: a\nevery: 5 minutes\n',
      'agent.yaml:2:8: every: expected a duration such as "250ms", "30s" or "5m", at most 24 days, found "5 minutes"',
    ],
    [
      'a duration of a year',
      'name: a\nevery: 365d\n',
      'agent.yaml:2:8: every: expected a duration such as "250ms", "30s" or "5m", at most 24 days, found "365d"',
    ],
    [
      'a bad size',
      'name: a\ncap: 5MB\n',
      'agent.yaml:2:6: cap: expected a size such as "64Mi", found "5MB"',
    ],
    [
      'a list for a mapping',
      'name: a\nauth: []\n',
      'agent.yaml:2:7: auth: expected a mapping with password, found a list',
    ],
    [
      'nothing for text',
      'name:\n',
      'agent.yaml:1:6: name: expected text (put it in quotes), found nothing',
    ],
    [
      'a mapping for a list',
      'name: a\nlist: {}\n',
      'agent.yaml:2:7: list: expected a list, found a mapping',
    ],
    [
      'a secret, which is not shown (N13)',
      'name: a\nauth: { password: 12345 }\n',
      'agent.yaml:2:19: auth.password: expected text (put it in quotes), found a number',
    ],
    [
      'an empty file',
      '',
      'agent.yaml:1:1: expected a mapping with name, port, every, cap, auth, list, found nothing',
    ],
  ] as const) {
    test(title, () => {
      const result = read(text, schema);
      expect(codeOf(result)).toBe('config.invalid');
      expect(messageOf(result)).toBe(message);
    });
  }
});

describe('what readers disagree about is refused (P10)', () => {
  for (const [title, text, reason] of [
    ['an alias', 'a: &x 1\nb: *x\n', '1:4: expected no anchor'],
    ['an alias without an anchor', 'b: *x\n', '1:4: expected no alias'],
    ['an anchor alone', 'a: &x 1\n', '1:4: expected no anchor'],
    ['an anchor on a mapping', '&x {a: 1}\n', 'anchor'],
    ['an anchor inside a list', 'a: [1, &x 2]\n', 'anchor'],
    ['a tag of JavaScript', 'a: !!js/function "x"\n', '1:4: expected no tag'],
    ['a tag of its own', 'a: !secret x\n', 'no tag'],
    ['a tag that changes nothing', 'a: !!str x\n', 'no tag'],
    ['a tag on a block text', 'a: !!binary |\n  AAAA\n', 'no tag'],
    ['a directive', '%YAML 1.1\n---\na: 1\n', 'no directive'],
    ['a merge key', 'a: 1\n<<: {b: 2}\n', '2:1: expected no merge key'],
    ['a key twice', 'a: 1\nb: 2\na: 3\n', '3:1: expected the key "a" once'],
    ['a key twice, once in quotes', 'a: 1\n"a": 3\n', '2:1: expected the key "a" once'],
    ['a key twice in one line', '{a: 1, a: 2}\n', 'once'],
    ['a number as key', '1: a\n', 'a key that is text'],
    ['a list as key', '[a]: b\n', 'a key that is text'],
    ['nothing as key', ': b\n', 'a key that is text'],
    ['__proto__ as key', '__proto__: {a: 1}\n', 'another key than __proto__'],
    ['constructor as key', 'a: {constructor: 1}\n', 'another key than constructor'],
    ['an octal number', 'mode: 0644\n', '1:7: expected quotes around "0644"'],
    ['an octal number with a sign', 'mode: -0644\n', 'quotes'],
    ['a number beyond 2^53 (P08)', 'a: 9007199254740993\n', 'exact'],
    ['infinity', 'a: .inf\n', 'exact'],
    ['not a number', 'a: .nan\n', 'exact'],
    ['NUL in a text (P12)', 'a: "x\\0y"\n', 'control characters'],
    ['an escape in a text', 'a: "\\e[31m"\n', 'control characters'],
    ['a lone surrogate (P06)', 'a: "\\ud800"\n', 'control characters'],
    ['two documents', 'a: 1\n---\nb: 2\n', 'one YAML document'],
    ['a byte order mark', '\ufeffa: 1\n', 'byte order mark'],
    ['a tab as indentation', 'a:\n\tb: 1\n', 'not well-formed'],
    ['an open list', 'a: [1, 2\n', ':'],
    ['an open quote', 'a: "x\n', ':'],
    ['25 levels', `${'['.repeat(25)}${']'.repeat(25)}`, 'at most 24 levels'],
  ] as const) {
    test(title, () => {
      const result = read(text);
      expect(codeOf(result)).toBe('config.invalid');
      expect(messageOf(result)).toContain(reason);
    });
  }

  test('24 levels pass', () => expect(read('['.repeat(24) + ']'.repeat(24)).ok).toBe(true));

  test('bad UTF-8 (P06)', () => {
    const result = readYaml(new Uint8Array([0x61, 0x3a, 0xff]), 'f', anything);
    expect(messageOf(result)).toContain('UTF-8');
  });

  test('more than 1 MiB', () => {
    expect(messageOf(readYaml(new Uint8Array(1_048_577), 'f', anything))).toContain('at most');
  });

  test('a key shown in a message is escaped and short', () => {
    const message = messageOf(read(`name: a\n"\\u202e${'x'.repeat(300)}": 1\n`, schema));
    expect(message).toContain('\\u{202e}');
    expect(message.length).toBeLessThan(160);
  });
});

describe('hostile documents of 200 KB end in a moment', () => {
  for (const [title, text] of [
    ['open lists', '['.repeat(200_000)],
    ['open mappings', '{a: '.repeat(50_000)],
    ['dashes on one line', '- '.repeat(100_000)],
    ['explicit keys', '? '.repeat(100_000)],
    ['quotes', '"'.repeat(200_000)],
    ['colons', ': '.repeat(100_000)],
    ['keys on one line', 'a: '.repeat(66_000)],
    ['closing brackets', ']'.repeat(200_000)],
    ['anchors', '&a '.repeat(66_000)],
    ['documents', '---\n'.repeat(50_000)],
    ['25,000 keys', Array.from({ length: 25_000 }, (_, index) => `k${index}: 1`).join('\n')],
    ['a key 50,000 times', 'a: 1\n'.repeat(50_000)],
    ['a long list', `[${'a,'.repeat(99_000)}]`],
  ] as const) {
    test(title, () => expect(['ok', 'config.invalid']).toContain(codeOf(read(text))), 4_000);
  }

  test('nine levels of aliases of ten never grow', () => {
    const lines = Array.from({ length: 9 }, (_, level) =>
      level === 0 ? 'l0: &l0 [x]' : `l${level}: &l${level} [${`*l${level - 1}, `.repeat(10)}]`,
    );
    expect(messageOf(read(lines.join('\n')))).toContain('no anchor');
  });
});

test('N13: what the parser repeats of the text comes without its controls', () => {
  for (const text of ['|\u00000700', '| : &\t\u001b[2J', '>../\u0000\u202e']) {
    const message = messageOf(openYaml(bytesOf(text), 'x.yaml'));
    expect(message).toStartWith('x.yaml:1:');
    expect(message).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  }
});
