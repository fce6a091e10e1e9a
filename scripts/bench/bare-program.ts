/**
 * The runtime's own share of idling: connected to the broker, a store open with the agent's
 * options, and then nothing to do. Compiled like the agent.
 */
import { open } from 'lmdb';
import mqtt from 'mqtt';

const [port, folder] = process.argv.slice(-2);
const store = open<Uint8Array, string>({
  path: `${folder}/store.mdb`,
  noSubdir: true,
  encoding: 'binary',
  overlappingSync: false,
  pageSize: 4_096,
  mapSize: 64 * 1024 * 1024,
});
store.transactionSync(() => store.putSync('sequence', Buffer.from([1])));
const client = mqtt.connect(`mqtt://127.0.0.1:${port}`, {
  clientId: `bench-bare-${process.pid}`,
  keepalive: 60,
  protocolVersion: 5,
  reconnectPeriod: 0,
});
client.on('connect', () => client.subscribe('bench/bare', { qos: 1 }, () => console.log('ready')));
