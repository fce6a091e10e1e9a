/** Sockets and TLS over real connections, and certificates as link/peer.ts sees them. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket as NetSocket, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer as createTls } from 'node:tls';
import { ok, type Result, refuse } from '#errors/fault.ts';
import { parseCertificates } from '#platform/node/certificates.ts';
import { streamOf, systemSockets } from '#platform/node/sockets.ts';
import type { PeerCertificate, Socket } from '#platform/tls.ts';
import { type Authority, authority } from '../../support/authority.ts';

const sockets = systemSockets();
const cleanup: (() => void)[] = [];
let ours: Authority;
let other: Authority;

beforeAll(() => {
  ours = authority('ours');
  other = authority('other');
});
afterAll(() => {
  ours.remove();
  other.remove();
});
afterEach(() => {
  for (const clean of cleanup.splice(0)) clean();
});

const codeOf = (result: Result<unknown>): string => (result.ok ? 'ok' : result.fault.code);
function must<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`${result.fault.code}: ${result.fault.message}`);
  return result.value;
}

function listening(server: Server, path?: string): Promise<number> {
  const accepted = new Set<NetSocket>();
  server.on('connection', (socket: NetSocket) => {
    accepted.add(socket);
    socket.on('error', () => {});
  });
  cleanup.push(() => {
    for (const socket of accepted) socket.destroy();
    server.close();
  });
  return new Promise((resolve) => {
    const done = (): void => {
      const address = server.address();
      resolve(typeof address === 'object' ? (address?.port ?? 0) : 0);
    };
    if (path === undefined) server.listen(0, '127.0.0.1', done);
    else server.listen(path, done);
  });
}

interface TlsPeer {
  readonly port: number;
  /** application bytes that reached it */
  received(): number;
}

async function tlsPeer(options: { cert: string; key: string; ca?: string }): Promise<TlsPeer> {
  let bytes = 0;
  const server = createTls(
    { ...options, ...(options.ca ? { requestCert: true, rejectUnauthorized: true } : {}) },
    (socket) => {
      socket.on('error', () => {});
      socket.on('data', (chunk) => {
        bytes += chunk.length;
        socket.write(chunk);
      });
    },
  );
  server.on('tlsClientError', () => {});
  return { port: await listening(server), received: () => bytes };
}

async function plain(port: number): Promise<Socket> {
  return must(await sockets.connect({ kind: 'tcp', host: '127.0.0.1', port }, 2_000));
}

function echo(socket: Socket, text: string): Promise<string> {
  const stream = streamOf(socket);
  return new Promise((resolve) => {
    stream.once('data', (chunk) => resolve(chunk.toString()));
    stream.once('close', () => resolve('closed'));
    stream.write(text);
  });
}

describe('connecting', () => {
  test('reaches TCP and unix sockets', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-sock-'));
    cleanup.push(() => rmSync(folder, { recursive: true }));
    const path = join(folder, 's');
    const server = (): Server => createServer((socket) => socket.pipe(socket));
    const port = await listening(server());
    await listening(server(), path);
    expect(await echo(await plain(port), 'tcp')).toBe('tcp');
    const unix = must(await sockets.connect({ kind: 'unix', path }, 2_000));
    expect(await echo(unix, 'unix')).toBe('unix');
    unix.close();
  });

  for (const [name, to, code] of [
    ['a closed port', { kind: 'tcp', host: '127.0.0.1', port: 1 }, 'link.unreachable'],
    ['a port that cannot be', { kind: 'tcp', host: '127.0.0.1', port: 99_999 }, 'link.unreachable'],
    ['an unknown name', { kind: 'tcp', host: 'nowhere.invalid', port: 1 }, 'link.unreachable'],
    ['a socket file that is not there', { kind: 'unix', path: '/nowhere/s' }, 'link.unreachable'],
  ] as const) {
    test(`${name}: ${code}`, async () => {
      expect(codeOf(await sockets.connect(to, 2_000))).toBe(code);
    });
  }
});

describe("TLS by the runtime's own check", () => {
  const system = (peer: TlsPeer, serverName: string, more: object = {}) =>
    plain(peer.port).then((socket) =>
      sockets.secure(socket, { ca: ours.cert, serverName, ...more }, 'system', 2_000),
    );

  test('the right anchor and name carry bytes', async () => {
    const peer = await tlsPeer(ours.leaf('DNS:localhost,IP:127.0.0.1'));
    expect(await echo(must(await system(peer, 'localhost')), 'hello')).toBe('hello');
    expect(await echo(must(await system(peer, '127.0.0.1')), 'hello')).toBe('hello');
  });

  test('an anchor beside the system’s counts, and the chain can be read while it stands', async () => {
    const { cert, key } = ours.leaf('DNS:localhost');
    const peer = await tlsPeer({ cert: cert + ours.cert, key });
    const secured = async (addCa: string) =>
      sockets.secure(await plain(peer.port), { addCa, serverName: 'localhost' }, 'system', 2_000);
    const socket = must(await secured(ours.cert));
    expect(await echo(socket, 'hello')).toBe('hello');
    const subjects = socket.peerChain?.()?.map(({ subject }) => subject);
    expect(subjects).toEqual(['CN=leaf', 'CN=ours']);
    expect(codeOf(await secured(other.cert))).toBe('link.tls-untrusted');
  });

  test('another anchor, name or address is link.tls-untrusted, and not a byte leaves (N08)', async () => {
    const peer = await tlsPeer(ours.leaf('DNS:localhost,IP:127.0.0.1'));
    for (const [name, more] of [
      ['localhost', { ca: other.cert }],
      ['elsewhere', {}],
      ['127.0.0.2', {}],
    ] as const) {
      expect(codeOf(await system(peer, name, more))).toBe('link.tls-untrusted');
    }
    expect(peer.received()).toBe(0);
  });

  test('a client certificate is shown', async () => {
    const peer = await tlsPeer({ ...ours.leaf('DNS:localhost'), ca: ours.cert });
    const socket = must(await system(peer, 'localhost', ours.leaf('DNS:device')));
    expect(await echo(socket, 'hello')).toBe('hello');
  });

  test('a peer that speaks no TLS, or nothing, ends with a fault', async () => {
    const text = await listening(createServer((socket) => socket.end('220 mail ready\r\n')));
    const mute = await listening(createServer(() => {}));
    const at = async (port: number): Promise<string> =>
      codeOf(await sockets.secure(await plain(port), { serverName: 'localhost' }, 'system', 200));
    expect(['link.tls', 'link.cut']).toContain(await at(text));
    expect(await at(mute)).toBe('link.timeout');
  });

  test('PEM that is none is link.tls', async () => {
    const peer = await tlsPeer(ours.leaf('DNS:localhost'));
    const broken = { cert: 'nonsense', key: 'nonsense' };
    expect(codeOf(await system(peer, 'localhost', broken))).toBe('link.tls');
  });
});

describe('TLS judged by a function', () => {
  const judged = async (
    peer: TlsPeer,
    verify: (chain: readonly PeerCertificate[]) => Result<void>,
  ) => sockets.secure(await plain(peer.port), { serverName: 'localhost' }, verify, 2_000);

  test('it sees the chain, leaf first, and its word counts', async () => {
    const { cert, key } = other.leaf('DNS:anything');
    const peer = await tlsPeer({ cert: cert + other.cert, key });
    let chain: readonly PeerCertificate[] = [];
    const socket = must(
      await judged(peer, (shown) => {
        chain = shown;
        return ok();
      }),
    );
    expect(chain.map(({ subject }) => subject)).toEqual(['CN=leaf', 'CN=other']);
    expect(await echo(socket, 'hello')).toBe('hello');
  });

  test('its refusal closes the connection before an application byte', async () => {
    const peer = await tlsPeer(ours.leaf('DNS:localhost'));
    const no = (): Result<void> => refuse('link.tls-untrusted', { peer: 'x', reason: 'no' });
    expect(codeOf(await judged(peer, no))).toBe('link.tls-untrusted');
    expect(peer.received()).toBe(0);
  });
});

describe('a certificate', () => {
  const parse = (pem: string): PeerCertificate => {
    const [certificate] = must(parseCertificates(pem));
    if (certificate === undefined) throw new Error('none');
    return certificate;
  };

  test('says what it may be used for', () => {
    const leaf = parse(ours.leaf('DNS:localhost').cert);
    expect(leaf).toMatchObject({
      ca: false,
      pathLength: null,
      keyUsage: { keyCertSign: false, digitalSignature: true },
      extendedKeyUsage: ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'],
      unknownCritical: [],
    });
    expect(parse(ours.cert)).toMatchObject({ ca: true, extendedKeyUsage: null });
    expect(parse(ours.cert).keyUsage).toEqual({ keyCertSign: true, digitalSignature: false });
  });

  test('names its path length and critical extensions that nobody here knows', () => {
    const extensions = [
      'basicConstraints=critical,CA:TRUE,pathlen:0',
      '1.2.3.4.5=critical,DER:0500',
      '1.2.3.4.6=DER:0500',
    ];
    const leaf = parse(ours.leaf('DNS:localhost', { extensions }).cert);
    expect(leaf).toMatchObject({ pathLength: 0, unknownCritical: ['1.2.3.4.5'], keyUsage: null });
  });

  test('matches alternative names alone, wildcards for one label', () => {
    const leaf = parse(ours.leaf('DNS:*.plant.example,DNS:exact.example,IP:10.0.0.1').cert);
    for (const [name, expected] of [
      ['exact.example', true],
      ['a.plant.example', true],
      ['a.b.plant.example', false],
      ['plant.example', false],
      ['10.0.0.1', true],
      ['10.0.0.2', false],
      ['leaf', false], // the common name
      ['', false],
    ] as const) {
      expect([name, leaf.matches(name)]).toEqual([name, expected]);
    }
  });

  test('is signed by its issuer and by nobody else', () => {
    const leaf = parse(ours.leaf('DNS:localhost').cert);
    expect(leaf.signedBy(parse(ours.cert))).toBe(true);
    expect(leaf.signedBy(parse(other.cert))).toBe(false);
    expect(leaf.signedBy(leaf)).toBe(false);
  });

  for (const [name, pem] of [
    ['nothing', ''],
    ['text', 'hello'],
    ['a damaged one', '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----'],
  ] as const) {
    test(`${name} is config.certificate`, () => {
      expect(codeOf(parseCertificates(pem))).toBe('config.certificate');
    });
  }
});
