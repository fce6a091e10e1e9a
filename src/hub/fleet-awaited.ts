/**
 * Rows of devices that this hub knows by their enrolment alone: who asks to be let in, and who was let
 * in and has reported nothing yet. A device that stays silent after its first hour is what somebody
 * who stands in front of a cabinet looks for. Pure.
 */
import type { DeviceRecord } from './enrolment-records.ts';
import type { FleetRow } from './fleet-query.ts';
import { type Condition, shown } from './fleet-row.ts';

/** The enrolments of this hub, as they are now. */
export interface Enrolments {
  all(): Iterable<DeviceRecord>;
  onChange(call: () => void): void;
}

const LABEL_CHARS = 200;

/** @param heard  devices that have a row already */
export function awaitedRows(
  records: Iterable<DeviceRecord>,
  heard: ReadonlySet<string>,
  most: number,
): readonly FleetRow[] {
  const rows: FleetRow[] = [];
  for (const record of records) {
    const told = toldOf(record);
    // One who asks for a name that another one has is for `hub enroll list`, not a device of the fleet.
    if (!told || heard.has(record.id)) continue;
    if (rows.length >= most) break;
    rows.push(rowOf(record, told));
  }
  return rows;
}

interface Told {
  readonly condition: Condition;
  readonly note: string;
}

function toldOf({ state, address, keyid }: DeviceRecord): Told | null {
  switch (state) {
    case 'waiting': {
      const from = address === '' ? '' : `, from ${shown(address, 64)}`;
      const cure = `holdfast hub enroll approve ${keyid.slice(0, 16)}`;
      return {
        condition: 'waiting',
        note: `asks to be let in${from}; compare its key, then: ${cure}`,
      };
    }
    case 'approved':
      return { condition: 'silent', note: 'let in; it has not fetched its credential yet' };
    case 'enrolled':
      return { condition: 'silent', note: 'enrolled; it has not reported anything yet' };
    default:
      return null;
  }
}

function rowOf({ id, keyid, labels, askedAt }: DeviceRecord, { condition, note }: Told): FleetRow {
  const all = Object.entries(labels).map(([name, value]) => `${name}=${value}`);
  const text = shown(all.join(' '), LABEL_CHARS);
  return {
    ...{ id: `enrolment/${keyid}`, device: id, proof: 'none', doubt: '', condition, note },
    ...{ online: null, seenAt: askedAt, summary: null },
    search: `${id} ${text} ${note}`.toLowerCase(),
  };
}
