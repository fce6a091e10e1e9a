/** The MQTT connection against Mosquitto, in 5 and in 3.1.1. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Result } from '#errors/fault.ts';
import type { MqttConnection, MqttOptions } from '#platform/mqtt.ts';
import { mqttClient } from '#platform/node/mqtt.ts';
import { systemSockets } from '#platform/node/sockets.ts';

const MOSQUITTO = '/usr/sbin/mosquitto';
const here = existsSync(MOSQUITTO);
let child: ChildProcess | null = null;
let port = 0;

async function until<T>(what: string, find: () => T | Promise<T>): Promise<NonNullable<T>> {
  const end = Date.now() + 10_000;
  for (;;) {
    const found = await find();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within 10 s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

beforeAll(async () => {
  if (!here) return;
  port = await new Promise<number>((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' ? (address?.port ?? 0) : 0));
    });
  });
  child = spawn(MOSQUITTO, ['-p', String(port)], { stdio: 'ignore' });
  await until('mosquitto listens', async () => {
    const socket = await systemSockets().connect({ kind: 'tcp', host: '127.0.0.1', port }, 500);
    if (socket.ok) socket.value.close();
    return socket.ok;
  });
});
afterAll(() => void child?.kill());

type Message = readonly [topic: string, payload: string, retained: boolean];

async function open(clientId: string, more: Partial<MqttOptions> = {}) {
  const socket = await systemSockets().connect({ kind: 'tcp', host: '127.0.0.1', port }, 2_000);
  if (!socket.ok) throw new Error(socket.fault.message);
  const messages: Message[] = [];
  const opened: Result<MqttConnection> = await mqttClient().connect(
    {
      clientId,
      version: 5,
      keepaliveSeconds: 30,
      sessionExpirySeconds: 0,
      messageCap: 128 * 1024,
      connectTimeoutMs: 5_000,
      onMessage: (topic, payload, retained) =>
        messages.push([topic, new TextDecoder().decode(payload), retained]),
      onClosed: () => {},
      ...more,
    },
    socket.value,
  );
  if (!opened.ok) throw new Error(opened.fault.message);
  return { connection: opened.value, messages };
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const OK = { ok: true, value: undefined } as const;

for (const version of [5, 4] as const) {
  const name = `MQTT ${version === 5 ? '5' : '3.1.1'}${here ? '' : ' (needs mosquitto)'}`;
  describe.skipIf(!here)(name, () => {
    const id = (role: string): string => `${role}-${version}`;

    test('messages go from one to the other, retained ones to those that come later', async () => {
      const a = await open(id('a'), { version });
      const topic = `${version}/retained`;
      expect(await a.connection.publish(topic, text('kept'), true)).toEqual(OK);
      const b = await open(id('b'), { version });
      expect(await b.connection.subscribe([topic, `${version}/live`])).toEqual(OK);
      await until('the retained one', () => b.messages.length === 1);
      expect(await a.connection.publish(`${version}/live`, text('now'), false)).toEqual(OK);
      await until('the live one', () => b.messages.length === 2);
      expect(b.messages).toEqual([
        [topic, 'kept', true],
        [`${version}/live`, 'now', false],
      ]);
      await a.connection.end();
      await b.connection.end();
    });

    test('the will is published when the connection is destroyed, not when it ends', async () => {
      const watcher = await open(id('watcher'), { version });
      await watcher.connection.subscribe([`${version}/will/#`]);
      const will = (topic: string) => ({
        version,
        will: { topic: `${version}/will/${topic}`, payload: text('gone'), retain: false },
      });
      await (await open(id('polite'), will('polite'))).connection.end();
      (await open(id('rude'), will('rude'))).connection.destroy();
      await until('the will', () => watcher.messages.length > 0);
      expect(watcher.messages).toEqual([[`${version}/will/rude`, 'gone', false]]);
      await watcher.connection.end();
    });

    test('a session outlives its connection and keeps what came meanwhile', async () => {
      const options = { version, sessionExpirySeconds: 3_600 };
      const first = await open(id('device'), options);
      expect(first.connection.sessionPresent).toBe(false);
      await first.connection.subscribe([`${version}/queued`]);
      first.connection.destroy();
      const sender = await open(id('sender'), { version });
      await sender.connection.publish(`${version}/queued`, text('meanwhile'), false);
      const second = await open(id('device'), options);
      expect(second.connection.sessionPresent).toBe(true);
      await until('the queued one', () => second.messages.length === 1);
      await second.connection.end();
      await sender.connection.end();
    });

    test('a message below the cap passes, one above it never arrives', async () => {
      const receiver = await open(id('receiver'), { version, messageCap: 64 * 1024 });
      const closed = Promise.withResolvers<string>();
      const capped = await open(id('capped'), {
        version,
        messageCap: 1_000,
        onClosed: (why) => closed.resolve(why.ok ? 'ok' : why.fault.code),
      });
      const topic = `${version}/large`;
      await receiver.connection.subscribe([topic]);
      await capped.connection.subscribe([topic]);
      await receiver.connection.publish(topic, new Uint8Array(60_000), false);
      await until('the large one', () => receiver.messages.length === 1);
      // In 5 the broker knows the cap and keeps the message; in 3.1.1 it sends it.
      if (version === 4) expect(await closed.promise).toBe('link.mqtt-too-large');
      expect(capped.messages).toEqual([]);
      capped.connection.destroy();
      await receiver.connection.end();
    });
  });
}
