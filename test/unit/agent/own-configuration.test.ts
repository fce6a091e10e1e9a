/** Sections of a state over the owner's agent.yaml: what counts, what is the owner's alone. */
import { describe, expect, test } from 'bun:test';
import { mergeSections } from '#agent/own-configuration.ts';
import { codeOf, value } from '../../support/store.ts';

const OWN = {
  ...{ apiVersion: 'holdfast/v1', kind: 'Agent', trust: { root: 'root.json' } },
  device: { id: 'press-7', labels: { site: 'a' } },
  channels: [{ name: 'stable', allow: { roots: ['/opt/line'] } }],
  registries: [{ url: 'https://one.example/plant', auth: { tokenFile: 'token' } }],
  mqtt: { url: 'mqtts://one.example:8883', tls: { ca: '/etc/holdfast/ca.pem' } },
};
const bytes = (of: unknown) => new TextEncoder().encode(JSON.stringify(of));
const HEAD = { apiVersion: 'holdfast/v1', kind: 'Agent' };
const merge = (sections: object, head: object = HEAD) =>
  mergeSections(bytes(OWN), bytes({ ...head, ...sections }), {
    ...{ file: '/etc/holdfast/agent.yaml', deployment: 'agent' },
  });

describe('sections of a state', () => {
  test('stand whole in place of those of the file; the rest of the file counts', () => {
    const config = value(merge({ mqtt: { url: 'mqtts://two.example:8883' } }));
    expect(config.mqtt).toMatchObject({ url: 'mqtts://two.example:8883', tls: null });
    expect(config.registries[0]?.url).toBe('https://one.example/plant');
    expect(config.device).toEqual({ id: 'press-7', labels: { site: 'a' } });
    expect(config.fromState).toEqual(['mqtt']);
  });

  test('labels count, the id beside them stays', () => {
    const config = value(merge({ device: { labels: { key: '/etc/shadow' } } }));
    expect(config.device).toEqual({ id: 'press-7', labels: { key: '/etc/shadow' } });
    expect(config.fromState).toEqual(['device.labels']);
  });

  for (const [what, sections, message] of [
    ['trust', { trust: { root: '/x' } }, '"trust"'],
    ['channels', { channels: [] }, '"channels"'],
    ['the id', { device: { id: 'press-8' } }, '"device.id"'],
    ['the id beside labels', { device: { labels: {}, id: 'x' } }, '"device.id"'],
    ['a device that is no mapping', { device: 'x' }, '"device.labels"'],
    ['stateDir', { stateDir: '/x' }, '"stateDir"'],
    ['runDir', { runDir: '/x' }, '"runDir"'],
    ['sockets', { sockets: {} }, '"sockets"'],
    ['what programs run as', { runtimes: {} }, '"runtimes"'],
    ['what an operator may', { apply: { now: 'allow' } }, '"apply"'],
    ['a manager', { margo: {} }, '"margo"'],
    ['what nobody knows', { moon: 1 }, '"moon"'],
    ['a name with controls', { '\u0000': 1 }, '"\\u{0}"'],
  ] as const) {
    test(`${what}: the owner’s alone`, () => {
      const merged = merge(sections);
      expect(codeOf(merged)).toBe('apply.config-key');
      expect(merged.ok ? '' : merged.fault.message).toContain(message);
    });
  }

  for (const [path, code] of [
    ['/etc/shadow', 'apply.config-path'],
    ['/opt/line/../../etc/shadow', 'apply.config-path'],
    ['/opt/liner/ca.pem', 'apply.config-path'],
    ['../shadow', 'apply.config-path'],
    ['/opt/line/ca.pem', ''],
    ['/etc/holdfast/ca.pem', ''],
  ] as const) {
    test(`a CA at ${path}: ${code || 'taken'}`, () => {
      const merged = merge({ mqtt: { url: 'mqtts://two.example:8883', tls: { ca: path } } });
      expect(merged.ok ? '' : codeOf(merged)).toBe(code);
    });
  }

  test('a token of the file is named as the file names it, relative or not', () => {
    const registries = (tokenFile: string) => ({
      registries: [{ url: 'https://two.example/plant', auth: { tokenFile } }],
    });
    value(merge(registries('token')));
    value(merge(registries('/etc/holdfast/token')));
    expect(codeOf(merge(registries('/etc/holdfast/other')))).toBe('apply.config-path');
  });

  test('a watched directory outside the roots is the owner’s as well', () => {
    expect(codeOf(merge({ bundles: { watch: ['/home'] } }))).toBe('apply.config-path');
  });

  for (const [what, sections, head, message] of [
    ['a value that does not fit', { schedule: { interval: 'soon' } }, HEAD, 'schedule.interval'],
    ['an unknown key in a section', { log: { colour: 'red' } }, HEAD, 'unknown key "colour"'],
    ['plain transport', { mqtt: { url: 'mqtt://far.example' } }, HEAD, 'not encrypted'],
    ['another kind', {}, { apiVersion: 'holdfast/v1', kind: 'Fleet' }, 'kind: Agent'],
  ] as const) {
    test(`${what}: refused, with what is wrong`, () => {
      const merged = merge(sections, head);
      expect(codeOf(merged)).toBe('apply.config-invalid');
      expect(merged.ok ? '' : merged.fault.message).toContain(message);
    });
  }

  test('what is no YAML, or no mapping', () => {
    for (const text of ['a: [', '- a', '"x"', '\ufeffa: 1', 'a: &x 1']) {
      const merged = mergeSections(bytes(OWN), new TextEncoder().encode(text), {
        ...{ file: '/etc/holdfast/agent.yaml', deployment: 'agent' },
      });
      expect(codeOf(merged)).toBe('apply.config-invalid');
    }
  });
});
