/** The link against the broker library that the hub is made of, which refuses MQTT 5. */
import { expect, test } from 'bun:test';
import { createServer } from 'node:net';
import { Aedes } from 'aedes';
import { brokerAt, ROOT, watchedLink } from '../support/mqtt-world.ts';

test('a broker without MQTT 5 is spoken to in 3.1.1 at once', async () => {
  const broker = await Aedes.createBroker();
  const server = createServer(broker.handle);
  const port = await new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve(typeof address === 'object' && address ? address.port : 0);
    });
  });
  const watched = watchedLink(brokerAt(`mqtt://127.0.0.1:${port}`));
  watched.link.start();
  await watched.up();
  expect(watched.link.state()).toMatchObject({ protocol: '3.1.1', lastFault: null });
  expect(watched.connections()).toBe(2);
  const sent = await watched.link.publish(`${ROOT}/d/press-7/status`, new Uint8Array(1), true);
  expect(sent.ok).toBe(true);
  await watched.link.close();
  await new Promise<void>((resolve) => broker.close(resolve));
  server.close();
});
