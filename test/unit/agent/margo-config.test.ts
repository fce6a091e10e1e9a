/** The section `margo` of agent.yaml, and what a machine says of itself. */
import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseConfig } from '#agent/config.ts';
import { margoCapabilities } from '#agent/margo-machine.ts';
import { systemFiles } from '#platform/node/files.ts';
import { readMargoCapabilities, writeMargoCapabilities } from '#wire/margo-capabilities.ts';
import { bytesOf, codeOf, granted, messageOf } from '../../support/wire-samples.ts';

const AGENT = `apiVersion: holdfast/v1
kind: Agent
trust: { root: root.json }
channels: [{ name: margo }]
`;
const MARGO = `margo:
  url: https://wfm.example/base
  authority: tls
  identity: { cert: svid.pem, key: svid.key, trustBundle: /etc/bundle.json }
`;
const read = (text: string) => parseConfig(bytesOf(text), '/etc/holdfast/agent.yaml');

describe('agent.yaml', () => {
  test('names the manager, its dialect and the identity beside the file', () => {
    const { margo } = granted(read(AGENT + MARGO));
    expect(margo).toMatchObject({
      url: 'https://wfm.example/base',
      dialect: 'rc3',
      deviceId: null,
    });
    expect(margo?.identity).toMatchObject({
      ...{ kind: 'svid', cert: '/etc/holdfast/svid.pem', trustBundle: '/etc/bundle.json' },
    });
  });

  test('rule 70: config.margo: the section and the channel stand there together', () => {
    expect(codeOf(read(AGENT))).toBe('config.margo');
    expect(codeOf(read(AGENT.replace('margo', 'stable') + MARGO))).toBe('config.margo');
    expect(codeOf(read(AGENT.replace('margo', 'stable')))).toBe('ok');
  });

  test('rule 1: an older dialect has the root CA of its manager, and a certificate or none', () => {
    const older = (identity: string, dialect = 'rc2') =>
      read(
        `${AGENT}${MARGO.replace(/identity:.*/, `identity: ${identity}\n  dialect: ${dialect}`)}`,
      );
    const ca = '/etc/holdfast/ca.pem';
    for (const dialect of ['rc2', 'pr1']) {
      expect(granted(older('{ ca: ca.pem }', dialect)).margo).toMatchObject({
        ...{ dialect, identity: { kind: 'signing', ca, files: null } },
      });
    }
    const named = granted(older('{ ca: ca.pem, cert: c.pem, key: c.key }')).margo;
    const files = { cert: '/etc/holdfast/c.pem', key: '/etc/holdfast/c.key' };
    expect(named?.identity).toMatchObject({ files });
    for (const identity of [
      '{}',
      '{ ca: a, cert: b }',
      '{ ca: a, key: b }',
      '{ ca: a, trustBundle: b }',
      '{ ca: a, discover: true }',
    ]) {
      expect([identity, codeOf(older(identity))]).toEqual([identity, 'config.invalid']);
    }
    expect(codeOf(older('{ cert: a, key: b, trustBundle: c, ca: d }', 'rc3'))).toBe(
      'config.invalid',
    );
  });

  test('rules 1, 8: another identity, another authority and plain http are not taken', () => {
    for (const [from, to] of [
      ['authority: tls', 'authority: hearsay'],
      ['authority: tls', 'source: oci\n  oci: { url: "https://r.example/a" }'],
      ['authority: tls', 'authority: tls\n  dialect: pr1'],
      ['authority: tls', 'authority: tls\n  dialect: rc1'],
      ['https://wfm', 'http://wfm'],
    ] as const) {
      const text = AGENT + MARGO.replace(from, to);
      expect(messageOf(read(text))).toContain('/etc/holdfast/agent.yaml');
      expect(codeOf(read(text))).toBe('config.invalid');
    }
  });
});

test('what this machine says of itself is what a manager takes; the owner has the last word', () => {
  const machine = { files: systemFiles(), freeBytes: () => 5 * 1024 ** 3 };
  const owner = { properties: { vendor: 'Works', memory: '1Gi' }, labels: { line: '7' } };
  const said = margoCapabilities(machine, owner, 'press-42');
  expect(said.properties).toMatchObject({ vendor: 'Works', memory: '1Gi', storage: '5Gi' });
  expect(said.properties.cpus?.[0]?.cores).toBeGreaterThan(0);
  expect(said.labels).toMatchObject({ line: '7', 'holdfast.files': true });
  expect(readMargoCapabilities(writeMargoCapabilities(said), 'press-42').kind).toBe('read');
});

test('the example of docs/margo.md reads', () => {
  const page = readFileSync(join(import.meta.dir, '../../../docs/margo.md'), 'utf8');
  const [, section = ''] = /^```\n(channels:[\s\S]*?)^```/m.exec(page) ?? [];
  const { margo } = granted(read(AGENT.replace(/channels:.*\n/, '') + section));
  expect(margo).toMatchObject({ deviceId: 'press-42', labels: { line: '7' } });
});
