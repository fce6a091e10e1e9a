/**
 * Sockets by node:net and node:tls. A stream that is handed out has a listener for its errors, so
 * that a connection that breaks between two users of it ends nothing but itself.
 */
import { connect as connectNet, isIP, type NetConnectOpts } from 'node:net';
import type { Duplex } from 'node:stream';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { type Fault, fault, ok, type Result, refuse, refused } from '#errors/fault.ts';
import type { TlsOptions } from '#platform/http.ts';
import type { Endpoint, PeerCertificate, Socket, Sockets } from '#platform/tls.ts';
import { certificateOf } from './certificates.ts';
import { errnoOf } from './errno.ts';
import { netFault } from './net-faults.ts';
import { anchorsFor } from './system-anchors.ts';

/** certificates of a chain that are looked at */
const CHAIN_MAX = 10;
/** ms of silence after which the kernel asks whether the peer is still there */
const KEEPALIVE_MS = 60_000;

type Verify = (chain: readonly PeerCertificate[]) => Result<void>;
type Options = TlsOptions & { readonly serverName: string };

export function systemSockets(): Sockets {
  return { connect, secure };
}

/** The node:stream behind a socket of this platform. */
export function streamOf(socket: Socket): Duplex {
  return socket.stream as Duplex;
}

export function socketOf(stream: Duplex): Socket {
  stream.on('error', () => stream.destroy());
  return { stream, close: () => void stream.destroy() };
}

function connect(to: Endpoint, timeoutMs: number): Promise<Result<Socket>> {
  const peer = to.kind === 'unix' ? to.path : `${to.host}:${to.port}`;
  const options: NetConnectOpts =
    to.kind === 'unix' ? { path: to.path } : { host: to.host, port: to.port, noDelay: true };
  return new Promise((resolve) => {
    let stream: ReturnType<typeof connectNet>;
    try {
      stream = connectNet(options);
    } catch (error) {
      // A port or a path that cannot be one.
      resolve(refuse('link.unreachable', { peer, reason: errnoOf(error) }));
      return;
    }
    settle({ stream, peer, timeoutMs, ready: 'connect' }, (why) => {
      if (why !== null) return resolve(refused(why));
      if (to.kind === 'tcp') stream.setKeepAlive(true, KEEPALIVE_MS);
      return resolve(ok(socketOf(stream)));
    });
  });
}

function secure(
  socket: Socket,
  options: Options,
  verify: 'system' | Verify,
  timeoutMs: number,
): Promise<Result<Socket>> {
  const peer = options.serverName;
  return new Promise((resolve) => {
    let stream: TLSSocket;
    try {
      stream = connectTls(tlsOptions(streamOf(socket), options, verify === 'system'));
    } catch {
      // A certificate or key that OpenSSL cannot read; its message may quote it.
      socket.close();
      resolve(refuse('link.tls', { peer, reason: 'tls.ca, tls.cert or tls.key cannot be used' }));
      return;
    }
    settle({ stream, peer, timeoutMs, ready: 'secureConnect' }, (why) => {
      const judged = why === null ? judge(stream, peer, verify) : refused(why);
      if (judged.ok) return resolve(ok({ ...socketOf(stream), peerChain: () => chainOf(stream) }));
      stream.destroy();
      socket.close();
      return resolve(judged);
    });
  });
}

function tlsOptions(socket: Duplex, options: Options, system: boolean): ConnectionOptions {
  const { serverName, cert, key, minVersion = 'TLSv1.2' } = options;
  const ca = anchorsFor(options);
  return {
    socket,
    host: serverName,
    // RFC 6066 section 3: no addresses in SNI.
    servername: isIP(serverName) === 0 ? serverName : '',
    // Never left to the environment (N08). False only where `verify` decides instead.
    rejectUnauthorized: system,
    minVersion,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}

function judge(stream: TLSSocket, peer: string, verify: 'system' | Verify): Result<void> {
  if (verify === 'system') {
    if (stream.authorized) return ok();
    return refuse('link.tls-untrusted', { peer, reason: String(stream.authorizationError) });
  }
  const chain = chainOf(stream);
  if (chain === null) {
    return refuse('link.tls-untrusted', { peer, reason: 'its chain cannot be read' });
  }
  return verify(chain);
}

/** Leaf first, as the peer sent it; null when one of them cannot be read. */
function chainOf(stream: TLSSocket): readonly PeerCertificate[] | null {
  const chain: PeerCertificate[] = [];
  let next = stream.getPeerCertificate(true);
  while (chain.length < CHAIN_MAX && next?.raw !== undefined) {
    const certificate = certificateOf(next.raw);
    if (certificate === null) return null;
    chain.push(certificate);
    // A self-signed certificate is its own issuer.
    if (next.issuerCertificate === next) break;
    next = next.issuerCertificate;
  }
  return chain;
}

interface Opening {
  readonly stream: Duplex;
  readonly peer: string;
  readonly timeoutMs: number;
  /** the event that ends the opening well */
  readonly ready: 'connect' | 'secureConnect';
}

/** Calls `done` once: opened (null), failed, closed, or too slow. */
function settle(
  { stream, peer, timeoutMs, ready }: Opening,
  done: (why: Fault | null) => void,
): void {
  const finish = (why: Fault | null): void => {
    clearTimeout(timer);
    stream.off(ready, opened).off('error', failed).off('close', closed);
    // Errors of a stream given up here have nobody else to hear them.
    if (why !== null) stream.on('error', () => {}).destroy();
    done(why);
  };
  const opened = (): void => finish(null);
  const failed = (error: Error): void => finish(netFault(error, peer, false));
  const closed = (): void =>
    finish(fault('link.cut', { peer, reason: 'it closed the connection at once' }));
  const timer = setTimeout(() => finish(fault('link.timeout', { peer, ms: timeoutMs })), timeoutMs);
  stream.on(ready, opened).on('error', failed).on('close', closed);
}
