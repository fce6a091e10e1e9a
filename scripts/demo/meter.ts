/**
 * A device's way to the registry, counted: bytes are passed on as they are, requests are seen in
 * the stream. It stands between, so what a device says it fetched can be compared with the wire.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';

export interface Traffic {
  readonly requests: number;
  /** requests for content, not for a tag or manifest */
  readonly blobs: number;
  /** from the registry to the device, headers included */
  readonly bytes: number;
}

export interface Meter {
  readonly port: number;
  /** Since the last time it was asked. */
  take(): Traffic;
  /** The same, and it goes on counting. */
  seen(): Traffic;
  close(): void;
}

const NOTHING: Traffic = { requests: 0, blobs: 0, bytes: 0 };
const REQUEST = /^(?:GET|HEAD) (\S+) HTTP\/1\.1\r$/gm;

export async function openMeter(registryPort: number): Promise<Meter> {
  const open = new Set<Socket>();
  let traffic = NOTHING;
  const count = (chunk: Buffer) => {
    for (const [, path = ''] of chunk.toString('latin1').matchAll(REQUEST)) {
      const { requests, blobs, bytes } = traffic;
      traffic = {
        requests: requests + 1,
        blobs: blobs + (path.includes('/blobs/') ? 1 : 0),
        bytes,
      };
    }
  };
  const server = createServer((device) => {
    const registry = connect(registryPort, '127.0.0.1');
    for (const [from, to] of [
      [device, registry],
      [registry, device],
    ] as const) {
      open.add(from);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        open.delete(from);
        to.destroy();
      });
    }
    device.on('data', (chunk: Buffer) => {
      count(chunk);
      registry.write(chunk);
    });
    device.on('end', () => registry.end());
    registry.on('data', (chunk: Buffer) => {
      traffic = { ...traffic, bytes: traffic.bytes + chunk.length };
      device.write(chunk);
    });
    registry.on('end', () => device.end());
  });
  const port = await listen(server);
  return {
    port,
    take() {
      const taken = traffic;
      traffic = NOTHING;
      return taken;
    },
    seen: () => traffic,
    close() {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      if (address && typeof address === 'object') resolve(address.port);
      else reject(new Error('no port'));
    });
  });
}

/** Ports of 127.0.0.1 that were free a moment ago; all different. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(servers.map(listen));
  await Promise.all(servers.map((server) => new Promise((closed) => server.close(closed))));
  return ports;
}
