/** Where a proxy stands and what it is told: files, addresses, and nothing of the environment. */
import { describe, expect, test } from 'bun:test';
import { fault, ok, refuse, refused } from '#errors/fault.ts';
import { connectThrough, type Proxied, readProxy } from '#link/proxy.ts';
import type { Socket } from '#platform/tls.ts';

const FILES: Readonly<Record<string, string>> = {
  '/etc/user': 'plc-7\n',
  '/etc/password': 'p:a/ss%w ö!\n',
  '/etc/colon': 'a:b\n',
  '/etc/empty': '\n',
};
const files = {
  readFile: (path: string) =>
    path in FILES
      ? ok(new TextEncoder().encode(FILES[path]))
      : refuse('platform.missing', { path, operation: 'open' }),
};

function read(proxied: Proxied): string {
  const proxy = readProxy(files, proxied);
  if (!proxy.ok) return `${proxy.fault.code}: ${proxy.fault.message}`;
  if (proxy.value === null) return 'none';
  const { host, port, authorization, url } = proxy.value;
  return [host, port, decode(authorization), url].join(' ');
}

function decode(authorization: string | null): string {
  if (authorization === null) return '-';
  return Buffer.from(authorization.replace('Basic ', ''), 'base64').toString();
}

const AUTH = { usernameFile: '/etc/user', passwordFile: '/etc/password' };

describe('a proxy in the configuration', () => {
  test('none, an address, and one with its port left out', () => {
    expect(read({ proxy: null })).toBe('none');
    expect(read({ proxy: 'http://proxy:3128' })).toBe('proxy 3128 - http://proxy:3128');
    expect(read({ proxy: 'http://[fd00::1]:3128/' })).toBe('fd00::1 3128 - http://[fd00::1]:3128');
    expect(read({ proxy: 'http://proxy' })).toBe('proxy 80 - http://proxy');
  });
  test('is given what its files hold, whatever signs stand in it', () => {
    const told = read({ proxy: 'http://proxy:3128', proxyAuth: AUTH });
    expect(told).toBe(
      'proxy 3128 plc-7:p:a/ss%w ö! http://plc-7:p%3Aa%2Fss%25w%20%C3%B6!@proxy:3128',
    );
    expect(read({ proxy: 'http://old:old@proxy:3128', proxyAuth: AUTH })).toBe(told);
  });
  test('is given what stands in its address; a percent sign alone is one', () => {
    expect(read({ proxy: 'http://u:p%40ss@proxy:1' })).toBe(
      'proxy 1 u:p@ss http://u:p%40ss@proxy:1',
    );
    expect(read({ proxy: 'http://u:100%@proxy:1' })).toBe('proxy 1 u:100% http://u:100%25@proxy:1');
  });
  for (const proxy of ['socks5://proxy:1', 'https://proxy:1', 'proxy:1', 'http://proxy/x', '']) {
    test(`${JSON.stringify(proxy)} is none`, () => {
      expect(read({ proxy })).toStartWith('config.registry');
    });
  }
  test('files that cannot be used are named, and never what stands in them', () => {
    const proxy = 'http://proxy:3128';
    const withUser = (usernameFile: string) =>
      read({ proxy, proxyAuth: { ...AUTH, usernameFile } });
    expect(withUser('/etc/colon')).toBe(
      'config.secret: the secret in /etc/colon has a colon in the name',
    );
    expect(withUser('/etc/empty')).toStartWith('config.secret: the secret in /etc/empty');
    expect(withUser('/etc/missing')).toStartWith('platform.missing');
  });
});

describe('the way to a peer', () => {
  function world(down = false) {
    const said: string[] = [];
    const socket: Socket = { stream: null, close: () => undefined };
    const platform = {
      files: files as never,
      sockets: {
        connect: async (to: unknown) => {
          said.push(JSON.stringify(to));
          if (!down) return ok(socket);
          return refused(fault('link.unreachable', { peer: 'proxy:3128', reason: 'refused' }));
        },
        secure: async () => ok(socket),
      },
      tunnels: {
        listen: async () => refuse('link.down', { peer: '' }),
        throughProxy: async (over: Socket, authority: string, authorization: string | null) => {
          said.push(`CONNECT ${authority} ${decode(authorization)}`);
          return ok(over);
        },
      },
    };
    return { said, platform: platform as unknown as Parameters<typeof connectThrough>[0] };
  }
  test('straight where there is no proxy', async () => {
    const { said, platform } = world();
    const peer = { host: 'broker', port: 8883 };
    expect((await connectThrough(platform, { proxy: null }, peer, 1)).ok).toBe(true);
    expect(said).toEqual(['{"kind":"tcp","host":"broker","port":8883}']);
  });
  test('by CONNECT, with the credentials of the files; an IPv6 peer in brackets', async () => {
    const { said, platform } = world();
    const proxied = { proxy: 'http://proxy:3128', proxyAuth: AUTH };
    await connectThrough(platform, proxied, { host: 'fd00::2', port: 443 }, 1);
    expect(said).toEqual([
      '{"kind":"tcp","host":"proxy","port":3128}',
      'CONNECT [fd00::2]:443 plc-7:p:a/ss%w ö!',
    ]);
  });
  test('a proxy that is down is named, with the peer behind it', async () => {
    const { platform } = world(true);
    const went = await connectThrough(
      platform,
      { proxy: 'http://u:hush@proxy:3128' },
      { host: 'broker', port: 8883 },
      1,
    );
    const told = went.ok ? '' : `${went.fault.code}: ${went.fault.message}`;
    expect(told).toBe(
      'link.proxy: the proxy proxy:3128 does not lead to broker:8883: proxy:3128 cannot be reached: refused',
    );
  });
});
