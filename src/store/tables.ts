/**
 * Every key ever used. Fleet and channel stand in the keys, so that a configuration with another
 * fleet or channel never reads the rows of this one. Names hold no `/` (state/names.ts; Margo's
 * channel is `margo`); numbers have 20 digits, so that text order is their order.
 *
 * | key | record |
 * |---|---|
 * | `format` | version of this layout |
 * | `device` | DeviceRow |
 * | `root/FLEET` | the newest root envelope held |
 * | `channel/FLEET/CHANNEL` | ChannelRow |
 * | `state/FLEET/CHANNEL/HEX` | StateRow, by state digest |
 * | `rejected/FLEET/CHANNEL/HEX` | RejectedRow, by state digest |
 * | `history/NUMBER`, `history-span` | HistoryRow; numbers in use |
 * | `event/NUMBER`, `event-span` | StatusEvent in the outbox; numbers in use |
 * | `outbox` | OutboxStatus |
 * | `margo/FLEET` | MargoLinkRow |
 * | `margoreport/FLEET/HEX` | MargoReportRow, by the SHA-256 of the deployment's id |
 * | `audit/NUMBER` | an AuditEntry, exact bytes |
 * | `audithead` | AuditSpan; sorts right behind the newest entry, on the same page |
 */
import { assert } from '#errors/fault.ts';
import { type Digest, hexOf } from '#state/digest.ts';
import type { Fleet } from '#state/names.ts';

/** A program refuses a store whose version is above this. */
export const FORMAT_VERSION = 1;

export const KEYS = {
  format: 'format',
  device: 'device',
  outbox: 'outbox',
  historySpan: 'history-span',
  eventSpan: 'event-span',
  root: (fleet: Fleet) => `root/${part(fleet)}`,
  channels: 'channel/',
  channel: (fleet: Fleet, channel: string) => `channel/${part(fleet)}/${part(channel)}`,
  states: (fleet: Fleet, channel: string) => `state/${part(fleet)}/${part(channel)}/`,
  state: (fleet: Fleet, channel: string, digest: Digest) =>
    `state/${part(fleet)}/${part(channel)}/${hexOf(digest)}`,
  rejections: (fleet: Fleet, channel: string) => `rejected/${part(fleet)}/${part(channel)}/`,
  rejected: (fleet: Fleet, channel: string, digest: Digest) =>
    `rejected/${part(fleet)}/${part(channel)}/${hexOf(digest)}`,
  histories: 'history/',
  history: (number: bigint) => `history/${digits(number)}`,
  events: 'event/',
  event: (number: bigint) => `event/${digits(number)}`,
  margo: (fleet: Fleet) => `margo/${part(fleet)}`,
  margoReports: (fleet: Fleet) => `margoreport/${part(fleet)}/`,
  margoReport: (fleet: Fleet, id: Digest) => `margoreport/${part(fleet)}/${hexOf(id)}`,
  auditHead: 'audithead',
  audits: 'audit/',
  audit: (number: bigint) => `audit/${digits(number)}`,
} as const;

/** LMDB's limit with 4096-byte pages is 1,978 bytes; no name comes near. */
const PART_MAX = 128;

function part(name: string): string {
  assert(
    name.length > 0 && name.length <= PART_MAX && !/[/\0]/.test(name),
    `a store key part is ${JSON.stringify(name.slice(0, PART_MAX))}`,
  );
  return name;
}

function digits(number: bigint): string {
  return number.toString().padStart(20, '0');
}
