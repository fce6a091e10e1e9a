/**
 * An NBD server over a unix socket: fixed newstyle negotiation, OPT_GO, simple replies, FLUSH and
 * FUA. One disk, whatever the export is called. Requests are served in the order of arrival, so a
 * flush covers every write that was answered before it was sent.
 *
 * @see https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
 */
import { createServer, type Server, type Socket } from 'node:net';

/** What it serves; `write` and `flush` have taken effect when they return. */
export interface Served {
  readonly size: number;
  read(at: number, length: number): Buffer;
  write(at: number, bytes: Buffer, durable: boolean): void;
  flush(): void;
}

const OPTION_MAGIC = 0x49484156454f5054n;
const OPTION_REPLY_MAGIC = 0x3e889045565a9n;
const REQUEST_MAGIC = 0x25609513;
const REPLY_MAGIC = 0x67446698;
const FIXED_NEWSTYLE_NO_ZEROES = 3;
const OPTION = { exportName: 1, abort: 2, info: 6, go: 7 } as const;
const REPLY = { ack: 1, info: 3, unsupported: 0x80000001 } as const;
/** has flags, flush, FUA */
const TRANSMISSION_FLAGS = 1 | 4 | 8;
const COMMAND = { read: 0, write: 1, disconnect: 2, flush: 3 } as const;
const FUA = 1;
const EINVAL = 22;
const REQUEST_BYTES = 28;
const OPTION_BYTES = 16;
/** more than any client asks for at once */
const LENGTH_MAX = 64 * 1024 * 1024;

export interface NbdServer {
  /** The power is gone: no request is answered from here on. */
  cut(): void;
  close(): Promise<void>;
}

export async function serveNbd(socket: string, served: Served): Promise<NbdServer> {
  const clients = new Set<Socket>();
  const server: Server = createServer((client) => {
    clients.add(client);
    client.on('close', () => clients.delete(client));
    client.on('error', () => client.destroy());
    talk(client, served);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(socket, resolve);
  });
  const cut = (): void => {
    for (const client of clients) client.destroy();
    server.close();
  };
  return {
    cut,
    async close() {
      cut();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** Takes whole messages off what has come in; gives null while one is not whole. */
type Take = (rest: Buffer) => number | null;

function talk(client: Socket, served: Served): void {
  let rest: Buffer = Buffer.alloc(0);
  let take: Take = (bytes) => (bytes.length < 4 ? null : begin());
  const begin = (): number => {
    take = (bytes) => option(bytes);
    return 4;
  };
  const option = (bytes: Buffer): number | null => {
    if (bytes.length < OPTION_BYTES) return null;
    const length = bytes.readUInt32BE(12);
    if (bytes.readBigUInt64BE(0) !== OPTION_MAGIC || length > LENGTH_MAX) return end();
    if (bytes.length < OPTION_BYTES + length) return null;
    const asked = bytes.readUInt32BE(8);
    if (asked === OPTION.abort) return end();
    if (answerOption(client, asked, served.size)) {
      take = (more) => request(client, served, more);
    }
    return OPTION_BYTES + length;
  };
  const end = (): number => {
    client.destroy();
    return 0;
  };
  const hello = Buffer.alloc(18);
  hello.write('NBDMAGICIHAVEOPT');
  hello.writeUInt16BE(FIXED_NEWSTYLE_NO_ZEROES, 16);
  client.write(hello);
  client.on('data', (bytes: Buffer) => {
    rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    while (rest.length > 0 && !client.destroyed) {
      const used = take(rest);
      if (used === null || used === 0) return;
      rest = rest.subarray(used);
    }
  });
}

/** @returns whether requests follow */
function answerOption(client: Socket, asked: number, size: number): boolean {
  const description = Buffer.alloc(12);
  description.writeBigUInt64BE(BigInt(size), 2);
  description.writeUInt16BE(TRANSMISSION_FLAGS, 10);
  if (asked === OPTION.exportName) {
    client.write(description.subarray(2));
    return true;
  }
  if (asked !== OPTION.go && asked !== OPTION.info) {
    optionReply(client, asked, REPLY.unsupported, Buffer.alloc(0));
    return false;
  }
  optionReply(client, asked, REPLY.info, description);
  optionReply(client, asked, REPLY.ack, Buffer.alloc(0));
  return asked === OPTION.go;
}

function optionReply(client: Socket, asked: number, kind: number, data: Buffer): void {
  const head = Buffer.alloc(20);
  head.writeBigUInt64BE(OPTION_REPLY_MAGIC);
  head.writeUInt32BE(asked, 8);
  head.writeUInt32BE(kind, 12);
  head.writeUInt32BE(data.length, 16);
  client.write(Buffer.concat([head, data]));
}

function request(client: Socket, served: Served, bytes: Buffer): number | null {
  if (bytes.length < REQUEST_BYTES) return null;
  const [flags, command] = [bytes.readUInt16BE(4), bytes.readUInt16BE(6)];
  const [at, length] = [Number(bytes.readBigUInt64BE(16)), bytes.readUInt32BE(24)];
  if (bytes.readUInt32BE(0) !== REQUEST_MAGIC || length > LENGTH_MAX) {
    client.destroy();
    return 0;
  }
  const whole = REQUEST_BYTES + (command === COMMAND.write ? length : 0);
  if (bytes.length < whole) return null;
  const reply = Buffer.alloc(16);
  reply.writeUInt32BE(REPLY_MAGIC);
  bytes.copy(reply, 8, 8, 16);
  const inside = at + length <= served.size;
  if (command === COMMAND.disconnect) client.end();
  else if (command === COMMAND.read && inside) {
    client.write(Buffer.concat([reply, served.read(at, length)]));
  } else {
    if (command === COMMAND.write && inside) {
      served.write(at, bytes.subarray(REQUEST_BYTES, whole), (flags & FUA) !== 0);
    } else if (command === COMMAND.flush) served.flush();
    else reply.writeUInt32BE(EINVAL, 4);
    client.write(reply);
  }
  return whole;
}
