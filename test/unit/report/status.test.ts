/** A status fits one message whatever stands in it, and tells no paths. */
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { makeStatus, sameCondition } from '#report/status.ts';
import { statusText } from '#report/text.ts';
import { sha256 } from '#state/digest.ts';
import type { DeploymentStatus, Status, StatusEvent } from '#state/status.ts';
import { readStatus } from '#wire/status.ts';

const DIGEST = sha256(new Uint8Array());
const MESSAGE_CAP = 128 * 1024;

const BASE: Status = {
  fleet: '00112233445566778899aabbccddeeff',
  deviceId: 'press-7',
  boot: 3n,
  report: 1n,
  previousReport: null,
  at: Date.UTC(2026, 10, 23),
  timeGrade: 'estimated',
  attestedAt: 0,
  agentVersion: '0.1.0',
  labels: { site: 'a' },
  channels: [],
  events: [],
  eventsDropped: 0n,
  rootVersion: 1n,
  auditHead: null,
  sealingKey: new Uint8Array(),
  deviceKey: new Uint8Array(44),
};

function deployment(index: number, more: Partial<DeploymentStatus> = {}): DeploymentStatus {
  const id = `line-${String(index).padStart(58, '0')}`;
  return { id, digest: DIGEST, health: 'healthy', code: '', message: '', restarts: 0, ...more };
}

function withDeployments(deployments: readonly DeploymentStatus[], events: StatusEvent[] = []) {
  const point = { epoch: 1n, sequence: 57n, stateDigest: DIGEST, at: BASE.at };
  return {
    ...BASE,
    events,
    channels: [
      {
        channel: 'stable',
        desired: point,
        applied: point,
        phase: 'idle',
        via: 'registry',
        degraded: false,
        deployments,
        refused: null,
        heldByOperator: false,
        freshness: 'estimated',
        waitingFor: '',
      },
    ],
  } as const satisfies Status;
}

function event(number: number, message: string): StatusEvent {
  const place = { channel: 'stable', deployment: '', at: BASE.at };
  return { number: BigInt(number), code: 'drift.found', message, ...place };
}

const troubled = { health: 'unhealthy', code: 'apply.health-failed', message: 'x'.repeat(3_000) };

describe('a status', () => {
  test('is what its payload says', () => {
    const { status, payload } = makeStatus(withDeployments([deployment(1)]));
    const read = readStatus(payload);
    expect(read.ok && read.value).toEqual(status);
  });

  test('of 500 deployments that all failed keeps every code and fits one message', () => {
    const all = Array.from({ length: 500 }, (_, i) => deployment(i, troubled));
    const { status, payload } = makeStatus(withDeployments(all));
    expect(payload.length).toBeLessThan(MESSAGE_CAP - 1_024);
    expect(status.channels[0]?.deployments).toHaveLength(500);
    expect(status.channels[0]?.deployments.every(({ code }) => code === troubled.code)).toBe(true);
    expect(readStatus(payload).ok).toBe(true);
  });

  test('of 2,000 deployments keeps the troubled ones, and some events', () => {
    const all = Array.from({ length: 2_000 }, (_, i) =>
      deployment(i, i % 10 === 9 ? troubled : {}),
    );
    const events = Array.from({ length: 256 }, (_, i) => event(i + 1, 'y'.repeat(500)));
    const { status, payload } = makeStatus(withDeployments(all, events));
    expect(payload.length).toBeLessThan(MESSAGE_CAP - 1_024);
    const kept = status.channels[0]?.deployments ?? [];
    expect(kept.filter(({ code }) => code !== '')).toHaveLength(200);
    expect(kept.length).toBeGreaterThan(600);
    expect(status.events.length).toBeGreaterThan(50);
    expect(status.events[0]?.number).toBe(1n);
    expect(readStatus(payload).ok).toBe(true);
  });

  test('of 2,000 troubled deployments still fits', () => {
    const all = Array.from({ length: 2_000 }, (_, i) => deployment(i, troubled));
    const { status, payload } = makeStatus(withDeployments(all));
    expect(payload.length).toBeLessThan(MESSAGE_CAP - 1_024);
    expect(status.channels[0]?.deployments.length).toBeGreaterThan(600);
  });

  test('fits and reads back, whatever stands in it', () => {
    const text = fc.string({ unit: 'binary', maxLength: 5_000 });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(text, text), { maxLength: 40 }),
        fc.dictionary(text, text, { maxKeys: 80 }),
        fc.double(),
        (messages, labels, at) => {
          const deployments = messages.map(([message, code], i) =>
            deployment(i, { message, code }),
          );
          const events = messages.map(([message], i) => event(i + 1, message));
          const made = makeStatus({ ...withDeployments(deployments, events), labels, at });
          expect(made.payload.length).toBeLessThan(MESSAGE_CAP - 1_024);
          const read = readStatus(made.payload);
          expect(read.ok ? '' : read.fault.message).toBe('');
        },
      ),
      { numRuns: 60 },
    );
  });

  test('tells the same condition as one that differs in counters, time and events', () => {
    const one = withDeployments([deployment(1)]);
    expect(sameCondition(one, { ...one, at: 1, report: 9n, events: [event(1, '')] })).toBe(true);
    expect(sameCondition(one, withDeployments([deployment(1, troubled)]))).toBe(false);
  });
});

describe('N13: text that leaves the device', () => {
  for (const [text, left] of [
    ['rename /opt/line/plc.conf: EIO', 'rename <path>: EIO'],
    ['target "/srv/a b" is taken', 'target "<path> b" is taken'],
    ['(/opt, /srv)', '(<path>, <path>)'],
    ['https://registry.example/plant/state cut', 'https://registry.example/plant/state cut'],
    ['1/2 done', '1/2 done'],
    ['a\nb\u001b[31mc\u202Ed', 'a b [31mc d'],
    ['\ud800x', '\ufffdx'],
  ] as const) {
    test(JSON.stringify(text), () => expect(statusText(text, 100)).toBe(left));
  }

  test('is cut at a whole character within its bytes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 0, max: 40 }), (text, max) => {
        const cut = statusText(text, max);
        expect(new TextEncoder().encode(cut).length).toBeLessThanOrEqual(max);
        expect(cut).not.toContain('\ufffd');
      }),
    );
  });

  test('P11: takes no longer for a megabyte of slashes than for any text', () => {
    expect(statusText('/ '.repeat(500_000), 100).length).toBeLessThanOrEqual(100);
    expect(statusText(` /${'a/'.repeat(500_000)}`, 100)).toBe('<path>');
  });
});
