/** Addresses of the configuration: what may be asked at all (check 1; C18, N06, N07). */
import { describe, expect, test } from 'bun:test';
import {
  isNearAddress,
  isRepository,
  isTag,
  type RegistryConfig,
  readEndpoint,
} from '#link/endpoint.ts';

const config: RegistryConfig = {
  url: 'https://registry.example/plant/state',
  auth: null,
  tls: null,
  proxy: null,
  insecure: false,
};

function read(changes: Partial<RegistryConfig>): string {
  const endpoint = readEndpoint({ ...config, ...changes });
  if (!endpoint.ok) return endpoint.fault.code;
  return `${endpoint.value.access.origin} ${endpoint.value.repository}`;
}

describe('a registry in the configuration', () => {
  for (const [url, expected] of [
    ['https://registry.example/plant/state', 'https://registry.example plant/state'],
    ['https://registry.example/plant/state/', 'https://registry.example plant/state'],
    ['https://registry.example:8443/a', 'https://registry.example:8443 a'],
    ['http://127.0.0.1:5000/a/b', 'http://127.0.0.1:5000 a/b'],
    ['http://localhost:5000/a', 'http://localhost:5000 a'],
    ['http://[::1]:5000/a', 'http://[::1]:5000 a'],
    ['http://registry.example/a', 'link.scheme-refused'],
    ['http://127.0.0.1.evil.example/a', 'link.scheme-refused'],
    ['https://user:secret@registry.example/a', 'link.scheme-refused'],
    ['https://registry.example@evil.example/a', 'link.scheme-refused'],
    ['file:///etc/passwd', 'link.scheme-refused'],
    ['data:,x', 'link.scheme-refused'],
    ['s3://bucket/a', 'link.scheme-refused'],
    ['registry.example/a', 'link.scheme-refused'],
    [`https://registry.example/${'a'.repeat(3000)}`, 'link.scheme-refused'],
    ['https://registry.example/a#b', 'link.scheme-refused'],
    ['https://registry.example/', 'config.registry'],
    ['https://registry.example/a?b', 'config.registry'],
    ['https://registry.example/A', 'config.registry'],
    ['https://registry.example/a/../b%2fc', 'config.registry'],
    ['https://registry.example/a//b', 'config.registry'],
    ['https://registry.example/a%0d%0ab', 'config.registry'],
  ] as const) {
    test(`${url.slice(0, 60)}: ${expected}`, () => expect(read({ url })).toBe(expected));
  }

  test('plain http beyond the loopback needs insecure: true', () => {
    const url = 'http://registry.example/a';
    expect(read({ url, insecure: true })).toBe('http://registry.example a');
  });

  test('N07: the message of a refused address names no user information', () => {
    const endpoint = readEndpoint({ ...config, url: 'https://user:hunter2@registry.example/a' });
    expect(JSON.stringify(endpoint)).not.toContain('hunter2');
  });

  test('a proxy that is no http://host:port is refused', () => {
    expect(read({ proxy: 'http://user:pw@proxy:3128' })).toStartWith('https://');
    expect(read({ proxy: 'socks5://proxy:1080' })).toBe('config.registry');
    expect(read({ proxy: 'proxy:3128' })).toBe('config.registry');
    expect(read({ proxy: 'http://proxy:3128/path' })).toBe('config.registry');
  });
});

describe('names that become part of a request line (C18)', () => {
  for (const name of ['a', 'a/b', 'a.b/c_d/e__f/g-h', 'a---b', '0/1']) {
    test(`repository ${name}`, () => expect(isRepository(name)).toBe(true));
  }
  for (const name of ['', '/', 'a/', '/a', '..', 'a/../b', 'a%2fb', 'a\r\nb', 'a b', 'A', 'a..b']) {
    test(`no repository: ${JSON.stringify(name)}`, () => expect(isRepository(name)).toBe(false));
  }
  test('no repository: 10,000 characters', () => {
    expect(isRepository('a'.repeat(10_000))).toBe(false);
    expect(isRepository(`${'a-'.repeat(5000)}!`)).toBe(false);
  });
  for (const tag of ['stable', 'device.press-7', 'stable_1_57', 'A', '_x']) {
    test(`tag ${tag}`, () => expect(isTag(tag)).toBe(true));
  }
  for (const tag of ['', '.x', '-x', 'a/b', '../x', 'a b', 'a%2f', 'a\r\n', 'a'.repeat(129)]) {
    test(`no tag: ${JSON.stringify(tag.slice(0, 20))}`, () => expect(isTag(tag)).toBe(false));
  }
});

describe('addresses that only mean something near this machine (N06)', () => {
  for (const host of [
    '127.0.0.1',
    'localhost',
    'a.localhost',
    '[::1]',
    '[::]',
    '0.0.0.0',
    '169.254.169.254',
    '10.1.2.3',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '[fe80::1]',
    '[fd00::1]',
  ]) {
    test(`near: ${host}`, () => expect(isNearAddress(host)).toBe(true));
  }
  for (const url of ['https://2130706433/', 'https://[::ffff:127.0.0.1]/', 'https://0x7f.1/']) {
    test(`near, spelled otherwise: ${url}`, () =>
      expect(isNearAddress(new URL(url).hostname)).toBe(true));
  }
  for (const host of [
    'registry.example',
    '8.8.8.8',
    '172.32.0.1',
    '10.example.com',
    '[2001:db8::1]',
  ]) {
    test(`not near: ${host}`, () => expect(isNearAddress(host)).toBe(false));
  }
});
