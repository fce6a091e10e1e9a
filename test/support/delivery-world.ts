/** A delivery on a clock that stands still, with a link that answers what the test says. */
import { expect } from 'bun:test';
import { generateKeyPairSync, sign } from 'node:crypto';
import { type Fault, ok, refused } from '#errors/fault.ts';
import type { MqttLinkEvent } from '#link/mqtt.ts';
import { type Delivery, deliverStatus, type Snapshot } from '#report/deliver.ts';
import { eventOf } from '#report/events.ts';
import { queueEvent } from '#report/outbox.ts';
import { sha256 } from '#state/digest.ts';
import { PAYLOAD } from '#state/media-types.ts';
import type { Phase, Status } from '#state/status.ts';
import { pae } from '#trust/dsse.ts';
import { keyidOf, rawFromSpki, verifyEd25519 } from '#trust/ed25519.ts';
import { readEnvelopeMessage } from '#wire/envelope-message.ts';
import { readStatus } from '#wire/status.ts';
import { manualClock } from './manual-clock.ts';
import { memoryOutbox } from './memory-outbox.ts';
import { seededRandom } from './seeded-random.ts';

const { publicKey, privateKey } = generateKeyPairSync('ed25519');
const KEY = new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }));

/** Opens and verifies what was published, as a hub does. */
export function opened(message: Uint8Array): { status: Status; payload: Uint8Array } {
  const envelope = readEnvelopeMessage(message);
  if (!envelope.ok) throw new Error(envelope.fault.message);
  const { payloadType, payload, signatures } = envelope.value;
  const status = readStatus(payload);
  if (!status.ok) throw new Error(status.fault.message);
  const raw = rawFromSpki(status.value.deviceKey) ?? new Uint8Array();
  const [signature] = signatures;
  expect(payloadType).toBe(PAYLOAD.status);
  expect(signature?.keyid).toBe(keyidOf(KEY));
  const signed = pae(PAYLOAD.status, payload);
  expect(verifyEd25519(raw, signed, signature?.sig ?? new Uint8Array())).toBe(true);
  return { status: status.value, payload };
}

export function made(boot = 7n, outbox = memoryOutbox()) {
  const clock = manualClock();
  const listeners = new Set<(event: MqttLinkEvent) => void>();
  const published: { topic: string; message: Uint8Array; retain: boolean; at: number }[] = [];
  const world = {
    up: true,
    phase: 'idle' as Phase,
    restarts: 0,
    answer: (): Fault | null | Promise<Fault | null> => null,
  };
  const delivery: Delivery = deliverStatus({
    clock,
    random: seededRandom(1),
    log: { write: () => {} },
    topic: 'r/d/press-7/status',
    signer: {
      publicKey: KEY,
      sign: (message) => Promise.resolve(ok(new Uint8Array(sign(null, message, privateKey)))),
    },
    store: outbox.reader,
    boot,
    snapshot: () => ok(snapshotOf(world.phase, world.restarts, clock.wallMs())),
    link: {
      state: () => ({
        kind: world.up ? 'up' : 'down',
        since: 0,
        lastFault: null,
        protocol: '5',
      }),
      listen(listener) {
        listeners.add(listener);
        return () => void listeners.delete(listener);
      },
      async publish(topic, message, retain) {
        published.push({ topic, message, retain, at: clock.monotonicMs() });
        const why = await world.answer();
        return why ? refused(why) : ok(undefined);
      },
    },
  });
  return {
    clock,
    outbox,
    world,
    delivery,
    published,
    statuses: () => published.map(({ message }) => opened(message).status),
    comesUp() {
      world.up = true;
      for (const listener of listeners) listener({ kind: 'up', protocol: '5' });
    },
  };
}

function snapshotOf(phase: Phase, restarts: number, at: number): Snapshot {
  const digest = sha256(new Uint8Array());
  const common = { desired: null, applied: null, via: null, refused: null, waitingFor: '' };
  return {
    fleet: '00112233445566778899aabbccddeeff',
    deviceId: 'press-7',
    at,
    timeGrade: 'estimated',
    attestedAt: 0,
    agentVersion: '0.1.0',
    labels: {},
    auditHead: null,
    sealingKey: new Uint8Array(),
    rootVersion: 1n,
    channels: [
      {
        channel: 'stable',
        ...common,
        phase,
        degraded: false,
        heldByOperator: false,
        freshness: 'unknown',
        deployments: [{ id: 'a', digest, health: 'healthy', code: '', message: '', restarts }],
      },
    ],
  };
}

export function tell(outbox: ReturnType<typeof memoryOutbox>, times: number): void {
  outbox.commit((tx) => {
    for (let i = 0; i < times; i += 1) {
      queueEvent(tx, eventOf('drift.repaired', { at: 1, channel: 'stable' }, { what: 'plc.conf' }));
    }
  });
}
