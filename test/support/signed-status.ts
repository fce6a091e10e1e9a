/** Statuses as devices sign them, without a device: for the hub's view of a fleet. */

import { systemKeyFiles } from '#platform/node/key-files.ts';
import { PAYLOAD } from '#state/media-types.ts';
import type { ChannelStatus, Status } from '#state/status.ts';
import { pae } from '#trust/dsse.ts';
import { keyidOf } from '#trust/ed25519.ts';
import { writeEnvelopeMessage } from '#wire/envelope-message.ts';
import { writeStatus } from '#wire/status.ts';
import { given } from './enrolment-world.ts';
import { digestA } from './wire-samples.ts';

export const FLEET = '00112233445566778899aabbccddeeff';
export const TOPICS = `holdfast/v1/${FLEET}/d`;

export interface SigningDevice {
  readonly id: string;
  readonly topic: string;
  readonly keyid: string;
  readonly key: Uint8Array;
  /** A status that it signs; its report number grows with each. */
  says(more?: Partial<Status>): Promise<Uint8Array>;
}

export function signingDevice(id: string): SigningDevice {
  const pair = systemKeyFiles().generate(null);
  const signer = given(systemKeyFiles().load(pair.privatePem, null));
  const { publicKey: key } = signer;
  let report = 0n;
  return {
    ...{ id, key, topic: `${TOPICS}/${id}/status`, keyid: keyidOf(key) },
    async says(more = {}) {
      report += 1n;
      const payload = writeStatus({ ...statusOf(id), report, deviceKey: key, ...more });
      const sig = given(await signer.sign(pae(PAYLOAD.status, payload)));
      const signatures = [{ keyid: '', sig }];
      return writeEnvelopeMessage({ payloadType: PAYLOAD.status, payload, signatures });
    },
  };
}

export function channelOf(more: Partial<ChannelStatus> = {}): ChannelStatus {
  const point = { epoch: 1n, sequence: 57n, stateDigest: digestA, at: 1_795_000_000_000 };
  return {
    ...{ channel: 'stable', desired: point, applied: point, phase: 'idle', via: 'registry' },
    ...{ degraded: false, deployments: [], refused: null, heldByOperator: false },
    ...{ freshness: 'estimated', waitingFor: '', ...more },
  };
}

function statusOf(deviceId: string): Status {
  return {
    ...{ fleet: FLEET, deviceId, boot: 1n, report: 1n, previousReport: null },
    ...{ at: 1_795_000_000_000, timeGrade: 'synchronised', attestedAt: 0, agentVersion: '0.1.0' },
    ...{ labels: { hall: '2' }, channels: [channelOf()], events: [], eventsDropped: 0n },
    ...{ rootVersion: 1n, deviceKey: new Uint8Array(), sealingKey: new Uint8Array() },
    auditHead: null,
  };
}
