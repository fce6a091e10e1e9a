/**
 * HTTPS while the wall clock is implausible (check 0): the runtime's client would judge certificates
 * by that clock and cannot take a socket that was judged elsewhere. So it speaks plain HTTP to a unix
 * socket that only this user may enter, and behind that each connection is TCP (through the proxy
 * where there is one), TLS, and link/peer.ts, in this order; not one byte passes before the last.
 *
 * One tunnel per peer and credentials, at most TUNNELS_MAX: the one used longest ago is closed.
 */
import { type Fault, ok, type Result } from '#errors/fault.ts';
import type { TlsOptions } from '#platform/http.ts';
import type { Platform } from '#platform/platform.ts';
import type { PeerCertificate, Socket } from '#platform/tls.ts';
import type { Tunnel } from '#platform/tunnel.ts';
import { type PeerTime, peerCheck } from './peer.ts';
import { connectThrough } from './proxy.ts';
import { ownAnchors } from './root-anchors.ts';

export interface DeadClockOptions {
  /** a directory of this agent's own (runDir/tls); made with 0700 */
  readonly directory: string;
  readonly time: () => PeerTime;
  readonly connectMs: number;
  /** judges the peer's chain in place of `tls.ca` and the name of the URL (link/margo-peer.ts) */
  readonly judge?: JudgePeer;
}

/** The chain, leaf first; nothing is sent before it says yes. */
export type JudgePeer = (chain: readonly PeerCertificate[]) => Result<void>;

export interface DeadClock {
  /** The way to `url`'s host: to be asked with http:// over the unix socket. */
  open(to: CheckedPeer): Promise<Result<CheckedWay>>;
  close(): void;
}

export interface CheckedPeer {
  readonly hostname: string;
  readonly port: number;
  readonly tls: TlsOptions;
  readonly proxy: string | null;
}

export interface CheckedWay {
  readonly unixSocket: string;
  /** Why the last connection could not be opened, once: the client only sees that it was closed. */
  takeFault(): Fault | null;
}

type Parts = Pick<Platform, 'sockets' | 'tunnels' | 'certificates' | 'files'>;
const TUNNELS_MAX = 8;

export function deadClock(platform: Parts, options: DeadClockOptions): DeadClock {
  const open = new Map<string, { tunnel: Tunnel; way: CheckedWay }>();
  let made = 0;

  const start = async (key: string, to: CheckedPeer): Promise<Result<CheckedWay>> => {
    const directory = platform.files.open(options.directory, { create: 0o700, follow: true });
    if (!directory.ok) return directory;
    directory.value.close();
    let fault: Fault | null = null;
    made += 1;
    const tunnel = await platform.tunnels.listen(`${options.directory}/${made}.sock`, async () => {
      const socket = await connectChecked(platform, to, options);
      fault = socket.ok ? null : socket.fault;
      return socket;
    });
    if (!tunnel.ok) return tunnel;
    const takeFault = (): Fault | null => {
      const taken = fault;
      fault = null;
      return taken;
    };
    const way = { unixSocket: tunnel.value.path, takeFault };
    open.set(key, { tunnel: tunnel.value, way });
    return ok(way);
  };

  return {
    open: async (to) => {
      const key = JSON.stringify([to.hostname, to.port, to.tls, to.proxy]);
      const held = open.get(key);
      open.delete(key);
      if (held !== undefined) {
        open.set(key, held);
        return ok(held.way);
      }
      const oldest = open.size < TUNNELS_MAX ? undefined : open.entries().next().value;
      if (oldest !== undefined) {
        oldest[1].tunnel.close();
        open.delete(oldest[0]);
      }
      return start(key, to);
    },
    close: () => {
      for (const { tunnel } of open.values()) tunnel.close();
      open.clear();
    },
  };
}

/** TCP, CONNECT where there is a proxy, TLS, and the check of the chain. */
async function connectChecked(
  platform: Parts,
  to: CheckedPeer,
  options: DeadClockOptions,
): Promise<Result<Socket>> {
  const name = to.hostname.replace(/^\[|\]$/g, '');
  const anchors = ownAnchors(platform.certificates, to.tls);
  if (!anchors.ok) return anchors;
  const rules = { anchors: anchors.value, name, floorMs: options.time().floorMs };
  const check = options.judge ?? peerCheck(rules);
  const peer = { host: name, port: to.port };
  const plain = await connectThrough(platform, { proxy: to.proxy }, peer, options.connectMs);
  if (!plain.ok) return plain;
  const tls = { ...to.tls, serverName: name };
  return platform.sockets.secure(plain.value, tls, check, options.connectMs);
}
