/** Targets: what a hub is sent by devices and an operator’s line holds, what a device is answered. */
import { type DeviceRecord, readDeviceRecord, writeRecord } from '#hub/enrolment-records.ts';
import { accountOf } from '#hub/gate.ts';
import type { EnrolmentAnswer, EnrolmentRequest } from '#state/enrolment.ts';
import {
  readEnrolmentAnswer,
  readEnrolmentRequest,
  readEnrolmentToken,
  writeEnrolmentAnswer,
  writeEnrolmentRequest,
  writeEnrolmentToken,
} from '#wire/enrolment.ts';
import { bytesOf, digestA, digestB } from '../support/wire-samples.ts';
import type { Target } from './engine.ts';
import { answerOf, comesBack, promise } from './promises.ts';

export const request: EnrolmentRequest = {
  purpose: 'enrol',
  hub: digestA,
  nonce: new Uint8Array(40).fill(1),
  deviceKey: new Uint8Array(44).fill(2),
  deviceId: 'press-7',
  labels: { site: 'a' },
  kind: 'certificate',
  csr: new Uint8Array(200).fill(3),
  token: '',
  agentVersion: '0.1.0',
};
export const issued: EnrolmentAnswer = {
  kind: 'issued',
  deviceId: 'press-7',
  credential: 'certificate',
  certificate: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
  secret: '',
  issuedAt: 1_790_000_000_000,
  notAfter: 1_797_000_000_000,
  authorities: '-----BEGIN CERTIFICATE-----\nBBBB\n-----END CERTIFICATE-----\n',
  root: bytesOf('{}'),
  registry: 'https://hub.example:5080/plant/state',
  mqtt: 'mqtts://hub.example:1883',
  channel: 'stable',
};
export const token = {
  id: new Uint8Array(8).fill(1),
  secret: new Uint8Array(24).fill(2),
  hub: digestA,
  root: digestB,
  url: 'https://hub.example:5080',
};
const record: DeviceRecord = {
  keyid: 'ab'.repeat(32),
  ...{ id: 'press-7', key: 'AAAA', labels: { site: 'a' }, askedAt: 1, address: '', token: '' },
  ...{ state: 'enrolled', kind: 'token', agentVersion: '0.1.0', credentials: [] },
};

export const ENROLMENT: readonly Target[] = [
  {
    name: 'enrolment request',
    shape: 'protobuf',
    seeds: [
      writeEnrolmentRequest(request),
      writeEnrolmentRequest({ ...request, purpose: 'renew', kind: 'token', csr: new Uint8Array() }),
    ],
    run: (input) => comesBack(input, readEnrolmentRequest, writeEnrolmentRequest),
  },
  {
    name: 'enrolment answer',
    shape: 'protobuf',
    seeds: [
      writeEnrolmentAnswer(issued),
      writeEnrolmentAnswer({ kind: 'pending' }),
      writeEnrolmentAnswer({ ...issued, credential: 'token', certificate: '', secret: 's' }),
    ],
    run: (input) => comesBack(input, readEnrolmentAnswer, writeEnrolmentAnswer),
  },
  {
    name: 'enrolment token',
    shape: 'text',
    seeds: [
      bytesOf(writeEnrolmentToken(token)),
      bytesOf(writeEnrolmentToken({ ...token, root: null })),
    ],
    run(input) {
      const read = readEnrolmentToken(Buffer.from(input).toString('utf8'));
      if (!read.ok) return answerOf(read);
      const again = readEnrolmentToken(writeEnrolmentToken(read.value));
      promise(again.ok && Bun.deepEquals(again.value, read.value), 'the same token again');
      return 'ok';
    },
  },
  {
    name: 'record of an enrolled device',
    shape: 'json',
    seeds: [writeRecord(record)],
    run: (input) => comesBack(input, (bytes) => readDeviceRecord(bytes, 'file'), writeRecord),
  },
  {
    name: 'authorization: basic',
    shape: 'text',
    seeds: [bytesOf('Basic cHJlc3MtNzpzZWNyZXQ='), bytesOf('Bearer x')],
    run(input) {
      const account = accountOf(Buffer.from(input).toString('latin1'));
      if (account === null) return 'none';
      promise(account.username !== '' && !account.username.includes(':'), 'a name without a colon');
      return 'account';
    },
  },
];
