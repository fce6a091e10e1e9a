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
/** entries looked at after each change; after the last one as many as a device tells of */
const RECENT = 200;
const LIMIT = 1_000;

/** What a journal tells of points, oldest first. */
export interface Told {
  readonly entries: readonly { readonly kind: string; readonly point: string }[];
  /** from the first entry on; otherwise the oldest change in it may lack its beginning */
  readonly whole: boolean;
}

async function journalOf({ runDir }: Device, limit: number): Promise<Told> {
  const url = `http://holdfast/v1/audit?limit=${limit}`;
  const answer = await fetch(url, { unix: join(runDir, 'control.sock') });
  if (!answer.ok) throw new Error(`the journal: HTTP ${answer.status}`);
  const views = ((await answer.json()) as readonly AuditEntryView[]).toReversed();
  const entries = views.flatMap(({ kind, point }) => (point === null ? [] : [{ kind, point }]));
  return { entries, whole: views[0]?.number === '1' };
}

/** @param effects  of every change so far, oldest first; empty: they agree */
export async function journalFaults(
  device: Device,
  effects: readonly Effect[],
): Promise<readonly string[]> {
  return courseFaults(await journalOf(device, RECENT), effects);
}

export function courseFaults(journal: Told, effects: readonly Effect[]): readonly string[] {
  const since = journal.whole ? 0 : sequenceOf(journal.entries[0]?.point ?? '') + 1;
  const told = journal.entries.filter(({ point }) => sequenceOf(point) >= since);
  const looked = effects.filter(({ point }) => sequenceOf(point) >= since);
  const faults: string[] = [];
  const ends: string[] = [];
  if (looked.length === 0) faults.push('the journal tells of none of these changes');
  for (const { point, applied } of looked) {
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

function sequenceOf(point: string): number {
  return Number(point.split('.')[1] ?? 0);
}

/**
 * Everything that the device still tells of, and the whole chain by `holdfast audit verify`, up to the
 * head of the newest signed status.
 */
export async function chainFault(
  device: Device,
  effects: readonly Effect[],
): Promise<string | null> {
  const [fault] = courseFaults(await journalOf(device, LIMIT), effects);
  if (fault !== undefined) return fault;
  const head = device.allReports().at(-1)?.auditHead ?? '';
  const ran = await device.command(['audit', 'verify', '--head', head, '-o', 'json']);
  return ran.code === 0 ? null : `audit verify ended with ${ran.code}: ${ran.err}${ran.out}`;
}
