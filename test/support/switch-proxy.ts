/** One loopback port whose connections go to a port of choice: an honest peer turns hostile, and back. */
import { connect, createServer, type Socket } from 'node:net';

export interface SwitchProxy {
  readonly port: number;
  /** From now on to this port; open connections end. */
  turnTo(port: number): void;
  close(): Promise<void>;
}

export async function startSwitchProxy(first: number): Promise<SwitchProxy> {
  const sockets = new Set<Socket>();
  let target = first;
  const held = (socket: Socket, other: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => other.destroy());
    socket.on('close', () => {
      sockets.delete(socket);
      other.destroy();
    });
  };
  const server = createServer((near) => {
    const far = connect(target, '127.0.0.1');
    held(near, far);
    held(far, near);
    near.pipe(far);
    far.pipe(near);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    turnTo(port) {
      target = port;
      for (const socket of sockets) socket.destroy();
    },
    close() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
