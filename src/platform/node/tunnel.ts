/**
 * Tunnels over node:net. Each accepted connection waits (paused, so nothing is lost) until its
 * upstream socket is open and checked; then both are piped with backpressure. The listener does not
 * keep the process alive. At most CONNECTIONS_MAX connections at once: more are closed unanswered.
 */
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Socket as NetSocket } from 'node:net';
import type { Duplex } from 'node:stream';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Socket } from '#platform/tls.ts';
import type { Tunnel, Tunnels } from '#platform/tunnel.ts';
import { PROXY_LOGIN } from './net-faults.ts';
import { openWebSocket } from './websocket.ts';

const CONNECTIONS_MAX = 16;
/** bytes of a proxy's whole answer to CONNECT */
const ANSWER_MAX = 16 * 1024;

export function nodeTunnels(): Tunnels {
  return { listen, throughProxy, webSocket: openWebSocket };
}

function listen(path: string, open: () => Promise<Result<Socket>>): Promise<Result<Tunnel>> {
  return new Promise((resolve) => {
    const accepted = new Set<NetSocket>();
    const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (client) => {
      client.on('error', () => client.destroy());
      if (accepted.size >= CONNECTIONS_MAX) return void client.destroy();
      accepted.add(client);
      client.on('close', () => accepted.delete(client));
      void open().then((upstream) => {
        if (upstream.ok) join(client, upstream.value);
        else client.destroy();
      });
    });
    const failed = (error: NodeJS.ErrnoException): void =>
      resolve(refuse('platform.io', { operation: 'listen', path, errno: error.code ?? 'unknown' }));
    server.once('error', failed);
    rmSync(path, { force: true });
    server.listen(path, () => {
      server.off('error', failed);
      server.on('error', () => server.close());
      chmodSync(path, 0o600);
      server.unref();
      const close = (): void => {
        server.close();
        for (const client of accepted) client.destroy();
      };
      resolve(ok({ path, close }));
    });
  });
}

/** A break on one side ends the other at once; an end passes through behind the last byte. */
function join(client: NetSocket, upstream: Socket): void {
  const stream = upstream.stream as Duplex;
  if (client.destroyed) {
    upstream.close();
    return;
  }
  stream.on('error', () => client.destroy());
  stream.on('close', () => {
    // Ended by the pipe: what it wrote may still be on its way.
    if (!client.writableEnded || client.writableFinished) client.destroy();
    else client.once('finish', () => client.destroy());
  });
  client.on('close', () => upstream.close());
  client.pipe(stream);
  stream.pipe(client);
}

function throughProxy(
  socket: Socket,
  authority: string,
  authorization: string | null,
  timeoutMs: number,
): Promise<Result<Socket>> {
  const stream = socket.stream as Duplex;
  return new Promise((resolve) => {
    let answer = Buffer.alloc(0);
    const settle = (result: Result<Socket>): void => {
      clearTimeout(timer);
      stream.off('data', onData);
      stream.off('error', onEnd);
      stream.off('close', onEnd);
      stream.pause();
      if (!result.ok) socket.close();
      resolve(result);
    };
    const refuseFor = (reason: string): void =>
      settle(refuse('link.proxy', { peer: authority, proxy: 'in the configuration', reason }));
    const onEnd = (): void => refuseFor('it closed the connection');
    const onData = (bytes: Buffer): void => {
      answer = Buffer.concat([answer, bytes]);
      const verdict = judgeAnswer(answer);
      if (verdict === 'open') settle(ok(socket));
      else if (verdict !== 'incomplete') refuseFor(verdict.reason);
    };
    const timer = setTimeout(() => refuseFor(`no answer in ${timeoutMs} ms`), timeoutMs);
    stream.on('data', onData);
    stream.on('error', onEnd);
    stream.on('close', onEnd);
    const credentials = authorization === null ? '' : `Proxy-Authorization: ${authorization}\r\n`;
    stream.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${credentials}\r\n`);
  });
}

function judgeAnswer(answer: Buffer): 'incomplete' | 'open' | { reason: string } {
  const end = answer.indexOf('\r\n\r\n');
  if (end < 0) {
    return answer.length > ANSWER_MAX ? { reason: 'its answer is too long' } : 'incomplete';
  }
  const status = /^HTTP\/1\.[01] (\d{3})(?: |\r)/.exec(answer.toString('latin1'))?.[1];
  if (status === undefined) return { reason: 'it does not speak HTTP' };
  if (status === '407') return { reason: PROXY_LOGIN };
  if (!status.startsWith('2')) return { reason: `it answered ${status}` };
  // The peer speaks second in TLS, HTTP and MQTT: what is here already is the proxy's own (N09).
  if (answer.length > end + 4) return { reason: 'it sent bytes of its own' };
  return 'open';
}
