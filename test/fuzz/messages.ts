/** Targets: envelopes, statements, what travels over MQTT, and what the store holds. */

import { ok, type Result } from '#errors/fault.ts';
import { MEDIA, PAYLOAD } from '#state/media-types.ts';
import type { Status } from '#state/status.ts';
import type { TimeStatement } from '#state/time-statement.ts';
import { readDesiredState, type Unsigned, writeDesiredState } from '#wire/desired-state.ts';
import { readEnvelope, writeEnvelope } from '#wire/envelope.ts';
import { type Nudge, readNudge, writeNudge } from '#wire/nudge.ts';
import {
  describe as descriptor,
  readIndex,
  readManifest,
  writeIndex,
  writeManifest,
} from '#wire/oci.ts';
import { readPresence, writePresence } from '#wire/presence.ts';
import { readRoot, writeRoot } from '#wire/root.ts';
import { readStatus, writeStatus } from '#wire/status.ts';
import { readStrictJson } from '#wire/strict-json.ts';
import {
  readTimeRequest,
  readTimeStatement,
  writeTimeRequest,
  writeTimeStatement,
} from '#wire/time-statement.ts';
import { bytesOf, digestA, digestB, sampleRoot, sampleState } from '../support/wire-samples.ts';
import type { Target } from './engine.ts';
import { answerOf, comesBack, promise } from './promises.ts';

const state = writeDesiredState(sampleState);
const root = writeRoot(sampleRoot);
const envelope = {
  payloadType: PAYLOAD.desiredState,
  payload: state,
  signatures: [
    { keyid: 'aa'.repeat(32), sig: new Uint8Array(64).fill(3) },
    { keyid: '', sig: new Uint8Array(64) },
  ],
};
const timeStatement: TimeStatement = {
  fleet: sampleRoot.fleet,
  at: 1_790_000_000_000,
  nonce: new Uint8Array(16).fill(5),
  deviceId: 'press-7',
  heads: [{ channel: 'stable', epoch: 1n, sequence: 58n, digest: digestA }],
  rootVersion: 1n,
  notAfter: 0,
  critical: ['heads'],
};
const time = writeTimeStatement(timeStatement);
const nudge: Nudge = {
  channel: 'stable',
  epoch: 1n,
  sequence: 58n,
  stateDigest: digestA,
  manifestDigest: digestB,
  urgent: true,
  envelope,
  roots: [{ ...envelope, payload: root, payloadType: PAYLOAD.root }],
  contents: [bytesOf('a'), bytesOf('')],
  time: { ...envelope, payload: time, payloadType: PAYLOAD.time },
};
const point = { epoch: 1n, sequence: 57n, stateDigest: digestA, at: 1_790_000_000_000 };
const status: Status = {
  fleet: sampleRoot.fleet,
  deviceId: 'press-7',
  boot: 4n,
  report: 9n,
  previousReport: digestB,
  at: 1_790_000_000_000,
  timeGrade: 'synchronised',
  attestedAt: 0,
  agentVersion: '0.1.0',
  labels: { site: 'a' },
  channels: [],
  events: [],
  eventsDropped: 0n,
  rootVersion: 1n,
  deviceKey: new Uint8Array(44),
  auditHead: null,
  sealingKey: new Uint8Array(),
};
const layers = [
  descriptor(MEDIA.envelope, bytesOf('{}'), { inline: true }),
  descriptor(MEDIA.documents, bytesOf('d'), { annotations: { a: 'b' } }),
];
const manifest = {
  artifactType: MEDIA.artifact,
  config: descriptor(MEDIA.ociEmpty, bytesOf('{}')),
  layers,
  annotations: { 'org.opencontainers.image.ref.name': 'stable' },
};

const JSON_WORDS = ['"payload"', '"signatures"', '"mediaType"', '"digest"', '"data"', '\\u0000'];

export const MESSAGES: readonly Target[] = [
  {
    name: 'DSSE envelope, JSON',
    shape: 'json',
    seeds: [writeEnvelope(envelope)],
    words: JSON_WORDS,
    run: (input) => comesBack(input, readEnvelope, writeEnvelope),
  },
  {
    name: 'strict JSON',
    shape: 'json',
    seeds: ['{"a":[1,-2.5e3,true,null,"\\u00e9\\n"],"b":{"c":{}}}', '9007199254740993', '""'].map(
      bytesOf,
    ),
    run: strictJson,
  },
  {
    name: 'desired state',
    shape: 'protobuf',
    seeds: [
      state,
      writeDesiredState({ ...sampleState, audience: { kind: 'devices', ids: ['a', 'b'] } }),
    ],
    run: desiredState,
  },
  {
    name: 'root',
    shape: 'protobuf',
    seeds: [root],
    run: (input) => comesBack(input, readRoot, writeRoot),
  },
  {
    name: 'nudge',
    shape: 'protobuf',
    seeds: [
      writeNudge(nudge),
      writeNudge({ ...nudge, envelope: null, roots: [], contents: [], time: null }),
    ],
    run: (input) => comesBack(input, readNudge, writeNudge),
  },
  {
    name: 'time statement',
    shape: 'protobuf',
    seeds: [time, writeTimeStatement({ ...timeStatement, nonce: new Uint8Array(), deviceId: '' })],
    run: (input) => comesBack(input, readTimeStatement, writeTimeStatement),
  },
  {
    name: 'time request',
    shape: 'protobuf',
    seeds: [writeTimeRequest({ nonce: new Uint8Array(16), deviceId: 'press-7' })],
    run: (input) => comesBack(input, readTimeRequest, writeTimeRequest),
  },
  {
    name: 'presence',
    shape: 'protobuf',
    seeds: [writePresence({ online: true, agentVersion: '0.1.0', since: 1_790_000_000_000 })],
    run: (input) => comesBack(input, readPresence, writePresence),
  },
  {
    name: 'status',
    shape: 'protobuf',
    seeds: [writeStatus(status), writeStatus({ ...status, channels: [statusOfChannel()] })],
    run: (input) => comesBack(input, readStatus, writeStatus),
  },
  {
    name: 'OCI manifest',
    shape: 'json',
    seeds: [writeManifest(manifest)],
    words: JSON_WORDS,
    run: (input) => comesBack(input, readManifest, writeManifest),
  },
  {
    name: 'OCI index',
    shape: 'json',
    seeds: [writeIndex(layers)],
    words: JSON_WORDS,
    run: (input) => comesBack(input, readIndex, writeIndex),
  },
];

/** Its digest is that of the bytes it came in, which others may write otherwise than we do. */
function desiredState(input: Uint8Array): string {
  const read = (bytes: Uint8Array): Result<Unsigned> => {
    const result = readDesiredState(bytes);
    if (!result.ok) return result;
    const { point, ...rest } = result.value;
    return ok({ ...rest, epoch: point.epoch, sequence: point.sequence });
  };
  return comesBack(input, read, writeDesiredState);
}

function statusOfChannel(): Status['channels'][number] {
  return {
    channel: 'stable',
    desired: point,
    applied: point,
    phase: 'idle',
    via: 'registry',
    degraded: false,
    deployments: [],
    refused: null,
    heldByOperator: false,
    freshness: 'estimated',
    waitingFor: '',
  };
}

/** What our reader accepts, the runtime's reads as the same, but for numbers that lose digits there. */
function strictJson(input: Uint8Array): string {
  const result = readStrictJson(input, 'input');
  if (!result.ok) return answerOf(result);
  const theirs: unknown = JSON.parse(Buffer.from(input).toString());
  const plain = (value: unknown) =>
    JSON.stringify(value, (_, inner) => (typeof inner === 'bigint' ? Number(inner) : inner));
  promise(plain(result.value) === plain(theirs), 'what JSON.parse reads, too');
  return 'ok';
}
