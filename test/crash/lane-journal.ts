/**
 * What a device's audit journal says of all its changes, against what really became of them: after
 * any number of kills each try was accepted before it began, each but the last was undone, and each
 * change has the one end that the outside saw, in that order; the chain is whole up to the head that
 * the device signs.
 */
import { join } from 'node:path';
import type { AuditEntryView } from '#control/api.ts';
import type { Device } from '../support/device.ts';

/** How a change ended, by the bytes and programs on the device. */
export interface Effect {
  readonly point: string;
  readonly applied: boolean;
}

/** one change: tries that a kill ended, the one that counts; what was rejected is refused when it comes again */
const COURSE = /^(?:accepted undone )*accepted (?:(applied)|(rejected)(?: refused)*)$/;
const LIMIT = 1_000;

async function journalOf({ runDir }: Device): Promise<readonly AuditEntryView[]> {
  const url = `http://holdfast/v1/audit?limit=${LIMIT}`;
  const answer = await fetch(url, { unix: join(runDir, 'control.sock') });
  if (!answer.ok) throw new Error(`the journal: HTTP ${answer.status}`);
  return ((await answer.json()) as readonly AuditEntryView[]).toReversed();
}

/** @param effects  of every change so far, oldest first; empty: they agree */
export async function journalFaults(
  device: Device,
  effects: readonly Effect[],
): Promise<readonly string[]> {
  const told = (await journalOf(device)).filter(({ point }) => point !== null);
  const faults: string[] = [];
  const ends: string[] = [];
  for (const { point, applied } of effects) {
    const kinds = told.filter((entry) => entry.point === point).map(({ kind }) => kind);
    const end = applied ? 'applied' : 'rejected';
    const [, was, wasNot] = COURSE.exec(kinds.join(' ')) ?? [];
    if ((was ?? wasNot) !== end) {
      faults.push(`the journal says ${kinds.join(', ')} of ${point}, which is ${end}`);
    }
    ends.push(`${end} ${point}`);
  }
  const said = told
    .filter(({ kind }) => kind === 'applied' || kind === 'rejected')
    .map(({ kind, point }) => `${kind} ${point}`);
  if (faults.length === 0 && said.join() !== ends.join()) {
    faults.push(`the journal says ${said.join(', ')}; it was ${ends.join(', ')}`);
  }
  return faults;
}

/** The whole chain, by `holdfast audit verify`, up to the head of the newest signed status. */
export async function chainFault(device: Device): Promise<string | null> {
  const head = device.allReports().at(-1)?.auditHead ?? '';
  const ran = await device.command(['audit', 'verify', '--head', head, '-o', 'json']);
  return ran.code === 0 ? null : `audit verify ended with ${ran.code}: ${ran.err}${ran.out}`;
}
