/**
 * What devices tell about themselves beside their condition: the events of a status. Codes and texts
 * stand here once; an event that is told because of a fault carries the fault's code and message.
 * No paths, parameters or log lines: text.ts takes them out before anything leaves the device.
 */
import type { Fault } from '#errors/fault.ts';
import { pointText } from '#state/point.ts';
import type { StatusEvent, StatusPoint, Via } from '#state/status.ts';

type At = Pick<StatusPoint, 'epoch' | 'sequence'>;

export const EVENTS = {
  'agent.started': (d: { version: string; boot: bigint }) =>
    `version ${d.version}, start ${d.boot}`,
  'agent.safe-mode': (d: { crashes: number }) =>
    `${d.crashes} starts in a row crashed: the last proven state runs, nothing new is applied`,
  'agent.paused': (d: { reason: string }) => `paused${because(d.reason)}`,
  'agent.resumed': () => 'resumed',
  'state.accepted': (d: { point: At; via: Via }) => `${pointText(d.point)} accepted (${d.via})`,
  'state.applied': (d: { point: At; via: Via; tookMs: number }) =>
    `${pointText(d.point)} applied (${d.via}) in ${d.tookMs} ms`,
  'state.unguarded': (d: { point: At }) =>
    `${pointText(d.point)} came into force without commit: reachable: neither registry nor broker answered before it`,
  'state.undone': (d: { point: At; to: At | null; code: string }) =>
    `${pointText(d.point)} undone (${d.code}), back at ${d.to ? pointText(d.to) : 'nothing'}`,
  'state.rejected': (d: { point: At; code: string }) =>
    `${pointText(d.point)} rejected (${d.code}): not tried again`,
  'state.partly': (d: { point: At; code: string; left: string }) =>
    `${pointText(d.point)} is in force in part (${d.code}): not ${d.left}`,
  'deployment.applied': (d: { point: At }) => `in force as ${pointText(d.point)} wants it`,
  'deployment.undone': (d: { point: At; code: string }) =>
    `as it was before ${pointText(d.point)} (${d.code})`,
  'state.stuck': (d: { point: At; code: string }) =>
    `undoing ${pointText(d.point)} fails (${d.code}): tried again`,
  'state.rolled-back': (d: { from: At | null; to: At; reason: string }) =>
    `an operator went back to ${pointText(d.to)}${because(d.reason)}; held there`,
  'state.hold-ended': (d: { point: At | null }) =>
    `the hold${d.point ? ` at ${pointText(d.point)}` : ''} has ended`,
  'state.recovered': (d: { point: At; tries: number }) =>
    `${pointText(d.point)} goes on after a cut (try ${d.tries})`,
  'channel.orphaned': () => 'no longer configured; its deployments stay until others name them',
  'channel.forgotten': () => 'an operator had it forgotten',
  'trust.attack': (d: { fault: Pick<Fault, 'code' | 'message'> }) =>
    `${d.fault.code}: ${d.fault.message}`,
  'trust.root-replaced': (d: { version: bigint }) => `the root is version ${d.version}`,
  'drift.found': (d: { what: string; found: string }) => `${d.what}: ${d.found}`,
  'drift.repaired': (d: { what: string }) => `${d.what} is as signed again`,
  'drift.flapping': (d: { what: string; repairs: number }) =>
    `${d.what} was changed again after ${d.repairs} repairs in 10 minutes: repairs stop`,
  'deployment.unhealthy': (d: { check: string; reason: string }) => `${d.check}: ${d.reason}`,
  'deployment.healthy': () => 'healthy again',
  'deployment.restarted': (d: { component: string; restarts: number }) =>
    `${d.component} ended and was started again (${d.restarts})`,
  'identity.new': (d: { reason: string }) => `this device made a new identity: ${d.reason}`,
  'identity.sealing-key': () =>
    'this device made a new sealing key: what was sealed for another does not open',
  'credential.renewed': (d: { fingerprint: string; until: string }) =>
    `credential ${d.fingerprint} is in use, until ${d.until}`,
  'credential.not-renewed': (d: { code: string }) =>
    `the credential could not be renewed (${d.code}): the one in use stays`,
  'identity.cloned': (d: { times: number }) =>
    `another client used this identity ${d.times} times in ten minutes: is the image a copy?`,
  'store.quarantined': (d: { reason: string }) =>
    `the store was damaged (${d.reason}) and rebuilt from the signed statements`,
  'link.protocol': (d: { protocol: string }) => `the broker speaks MQTT ${d.protocol}`,
  'source.lagging': (d: { mirror: string; shows: At; known: At }) =>
    `lagging mirror ${d.mirror}: it shows ${pointText(d.shows)}, ${pointText(d.known)} is known`,
  'time.raised': (d: { floor: string }) => `the time floor is ${d.floor}`,
} as const;

export type EventCode = keyof typeof EVENTS;
type Details<C extends EventCode> = Parameters<(typeof EVENTS)[C]>[0];

/** Where and when it happened. */
export interface Place {
  /** Unix ms */
  readonly at: number;
  readonly channel?: string;
  readonly deployment?: string;
}

/** An event for the outbox: `eventOf('state.applied', { at, channel }, { point, via, tookMs })`. */
export function eventOf<C extends EventCode>(
  code: C,
  place: Place,
  ...details: Details<C> extends undefined ? [] : [Details<C>]
): Omit<StatusEvent, 'number'> {
  const says: (details: never) => string = EVENTS[code];
  return made(code, place, says(details[0] as never));
}

/** An event that is a fault: its code, its message. */
export function eventOfFault(
  fault: Pick<Fault, 'code' | 'message'>,
  place: Place,
): Omit<StatusEvent, 'number'> {
  return made(fault.code, place, fault.message);
}

function made(code: string, place: Place, message: string): Omit<StatusEvent, 'number'> {
  const { at, channel = '', deployment = '' } = place;
  return { at, code, channel, deployment, message };
}

function because(reason: string): string {
  return reason === '' ? '' : `: ${reason}`;
}
