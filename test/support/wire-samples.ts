/** Samples and small readers that the tests of wire/ share. */
import type { Result } from '#errors/fault.ts';
import { sha256 } from '#state/digest.ts';
import type { Root } from '#state/root.ts';
import type { Unsigned } from '#wire/desired-state.ts';

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

/** `ok`, or the code of the refusal. */
export const codeOf = (result: Result<unknown>): string => (result.ok ? 'ok' : result.fault.code);

/** The message of the refusal, or `ok`. */
export const messageOf = (result: Result<unknown>): string =>
  result.ok ? 'ok' : result.fault.message;

export const granted = <T>(result: Result<T>): T => {
  if (!result.ok) throw new Error(`${result.fault.code}: ${result.fault.message}`);
  return result.value;
};

export const digestA = sha256(bytesOf('a'));
export const digestB = sha256(bytesOf('b'));

export const sampleState: Unsigned = {
  fleet: '00112233445566778899aabbccddeeff',
  channel: 'stable',
  epoch: 1n,
  sequence: 57n,
  previousDigest: digestA,
  promotedFrom: null,
  issuedAt: 1_790_000_000_000,
  notAfter: 1_800_000_000_000,
  rootVersion: 1n,
  minAgentVersion: '0.1.0',
  critical: [],
  audience: { kind: 'everyone' },
  policy: {
    urgent: false,
    windows: [
      { weekdays: [1, 7], start: '02:30', durationMs: 3_600_000, timeZone: 'Europe/Berlin' },
    ],
    spreadMs: 60_000,
    atomicity: 'state',
    healthWindowMs: 5_000,
    attemptsMax: 3,
    allowRemoval: 0n,
    unattestedMaxMs: 0,
    commit: 'healthy',
  },
  deployments: [
    {
      id: 'line-config',
      digest: digestA,
      size: 120,
      mediaType: 'application/vnd.holdfast.deployment.v1+yaml',
    },
  ],
  blobs: [
    {
      name: 'files/plc.conf',
      mediaType: 'application/octet-stream',
      digest: digestB,
      size: 9,
      unpackedSize: 9,
    },
  ],
  documents: { digest: digestB, size: 2_048 },
};

export const sampleRoot: Root = {
  fleet: '00112233445566778899aabbccddeeff',
  version: 1n,
  issuedAt: 1_790_000_000_000,
  notAfter: 0,
  keys: [
    {
      keyid: 'aa'.repeat(32),
      scheme: 'ed25519',
      publicKey: new Uint8Array(44).fill(7),
      notAfter: 0,
      comment: 'root of the plant',
    },
  ],
  roles: [
    { name: 'root', threshold: 1, keyids: ['aa'.repeat(32)] },
    { name: 'release', threshold: 1, keyids: ['aa'.repeat(32)] },
  ],
  channels: [
    { name: 'stable', role: 'release', epoch: 1n },
    { name: 'device.*', role: 'release', epoch: 1n },
  ],
  timeReset: null,
  demo: false,
  critical: [],
  tls: {
    anchors: [
      { certificate: Uint8Array.of(0x30, 2, 5, 0), notAfter: 0, comment: 'ca-2026' },
      {
        certificate: Uint8Array.of(0x30, 0x81, 0x80, ...new Uint8Array(128)),
        notAfter: 1_800_000_000_000,
        comment: '',
      },
    ],
    replacesConfigured: true,
  },
};
