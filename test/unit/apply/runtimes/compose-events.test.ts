/** The engine's word of what ended: who is looked at for it, how often, and over which connections. */
import { expect, test } from 'bun:test';
import type { Engine } from '#apply/runtimes/compose-engine.ts';
import { engineEvents } from '#apply/runtimes/compose-events.ts';
import { fault, ok, refused } from '#errors/fault.ts';
import { eventually } from '../../../support/eventually.ts';
import { manualClock } from '../../../support/manual-clock.ts';

interface Stream {
  readonly query: string;
  send(text: string): void;
  end(): void;
  readonly ended: boolean;
}

/** An engine whose events a test writes. */
function speakingEngine(kind: Engine['kind'] = 'docker') {
  const streams: Stream[] = [];
  let there = true;
  const engine: Engine = {
    ...{ kind, version: '1', socket: '/s', architecture: 'amd64' },
    call: async () => ok({ status: 200, json: null }),
    async *stream(request, signal) {
      const waiting: string[] = [];
      let [over, wake] = [false, () => {}];
      const stream = {
        query: JSON.stringify(request.query),
        send(text: string) {
          waiting.push(text);
          wake();
        },
        end() {
          over = true;
          wake();
        },
        get ended() {
          return over || signal.aborted;
        },
      };
      signal.addEventListener('abort', () => wake());
      streams.push(stream);
      while (!stream.ended) {
        for (const text of waiting.splice(0)) yield Buffer.from(text);
        if (stream.ended) return;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
  const missing = refused(fault('compose.engine-missing', { tried: '/s' }));
  return {
    streams,
    open: async () => (there ? ok(engine) : missing),
    leave: () => {
      there = false;
    },
    come: () => {
      there = true;
    },
  };
}

const event = (Action: string, deployment: string, store = 'own') =>
  `${JSON.stringify({
    Action,
    Actor: {
      Attributes: { 'io.holdfast.store': store, 'io.holdfast.deployment': deployment },
    },
  })}\n`;

function listening(kind: Engine['kind'] = 'docker') {
  const clock = manualClock();
  const engine = speakingEngine(kind);
  const looks: string[] = [];
  const events = engineEvents({
    ...{ clock, engine: engine.open, storeId: 'own' },
    look: (deployment) => void looks.push(deployment),
  });
  const stream = (at: number) => eventually(`connection ${at}`, () => engine.streams[at]);
  return { clock, engine, looks, events, stream };
}

test('a container that ends, is stopped or removed makes its deployment looked at', async () => {
  const { events, looks, stream } = listening();
  events.watch('line');
  events.watch('press');
  const first = await stream(0);
  expect(first.query).toContain('io.holdfast.store=own');
  first.send(event('die', 'line'));
  first.send(event('destroy', 'press') + event('die', 'other') + event('die', 'line', 'foreign'));
  await eventually('both were looked at', () => looks.length === 2);
  expect(looks).toEqual(['line', 'press']);
  events.forget('line');
  events.forget('press');
});

test('words in pieces, words that are none, and words without an end do no harm', async () => {
  const { events, looks, stream } = listening();
  events.watch('line');
  const first = await stream(0);
  const word = event('die', 'line');
  first.send('{"Action":\n[]\nnull\n"die"\n{}\n');
  for (let n = 0; n < 20; n += 1) first.send('x'.repeat(16 * 1024));
  first.send(`${event('die', 'line').trim()}\n`);
  first.send(word.slice(0, 20));
  expect(looks).toEqual([]);
  first.send(word.slice(20));
  await eventually('the whole word is heard', () => looks.length === 1);
  events.forget('line');
});

test('one that ends again and again is looked at twice a second, and at last once more', async () => {
  const { clock, events, looks, stream } = listening();
  events.watch('line');
  const first = await stream(0);
  for (let n = 0; n < 100; n += 1) first.send(event('die', 'line'));
  await eventually('it is looked at', () => looks.length === 1);
  first.send(event('die', 'line'));
  await clock.settle();
  await clock.advance(500);
  expect(looks).toHaveLength(2);
  await clock.advance(500);
  await clock.advance(500);
  expect(looks).toHaveLength(2);
  events.forget('line');
});

test('a connection that broke is made again, with a look at everything; its engine may be away', async () => {
  const { clock, engine, events, looks, stream } = listening();
  events.watch('line');
  (await stream(0)).end();
  engine.leave();
  for (let n = 0; n < 4; n += 1) {
    await clock.advance(5 * 60_000);
  }
  expect(looks).toEqual([]);
  engine.come();
  await eventually('it listens again', async () => {
    await clock.advance(5 * 60_000);
    return engine.streams[1];
  });
  expect(looks).toEqual(['line']);
  events.forget('line');
});

test('where nothing is watched nobody listens', async () => {
  const { engine, events, stream } = listening();
  expect(engine.streams).toEqual([]);
  events.watch('line');
  const first = await stream(0);
  events.forget('line');
  await eventually('the connection is given up', () => first.ended);
  events.watch('line');
  await stream(1);
  events.forget('line');
});

test('health checks count on Docker Engine; on Podman our own looks run them', async () => {
  for (const [kind, count] of [
    ['docker', 1],
    ['podman', 0],
  ] as const) {
    const { events, looks, stream } = listening(kind);
    events.watch('line');
    events.watch('last');
    const first = await stream(0);
    first.send(event('health_status: unhealthy', 'line'));
    first.send(event('exec_create', 'line'));
    first.send(event('die', 'last'));
    await eventually('the last word is heard', () => looks.includes('last'));
    expect(looks).toHaveLength(count + 1);
    events.forget('line');
    events.forget('last');
  }
});
