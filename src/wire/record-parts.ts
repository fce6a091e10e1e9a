/**
 * Parts that several records of the store share: points, codes and the enums of the status.
 * A record has passed its checksum before it is read here, so what is odd was written by another
 * version: the reader throws `Unreadable`, which `records.ts` alone catches and turns into a fault.
 */
import { create } from '@bufbuild/protobuf';
import { type Code, FAULTS } from '#errors/fault.ts';
import { type Digest, digestFromBytes, digestToBytes } from '#state/digest.ts';
import type { Freshness, Phase, StatusPoint, Via } from '#state/status.ts';
import {
  PointSchema,
  Freshness as WireFreshness,
  Phase as WirePhase,
  type Point as WirePoint,
  Via as WireVia,
} from './generated/holdfast_pb.ts';
import { quote } from './quote.ts';

/** Stays inside wire/: `records.ts` turns it into `store.record`. */
export class Unreadable extends Error {
  override readonly name = 'Unreadable';
}

const VIAS: readonly (readonly [Via, WireVia])[] = [
  ['registry', WireVia.REGISTRY],
  ['mqtt', WireVia.MQTT],
  ['bundle', WireVia.BUNDLE],
  ['margo', WireVia.MARGO],
];

const FRESHNESSES: readonly (readonly [Freshness, WireFreshness])[] = [
  ['unknown', WireFreshness.UNKNOWN],
  ['estimated', WireFreshness.ESTIMATED],
  ['attested', WireFreshness.ATTESTED],
];

const PHASES: readonly (readonly [Phase, WirePhase])[] = [
  ['idle', WirePhase.IDLE],
  ['waiting', WirePhase.WAITING],
  ['preparing', WirePhase.PREPARING],
  ['activating', WirePhase.ACTIVATING],
  ['proving', WirePhase.PROVING],
  ['undoing', WirePhase.UNDOING],
  ['stuck', WirePhase.STUCK],
  ['safe-mode', WirePhase.SAFE_MODE],
];

function toWire<T, W>(table: readonly (readonly [T, W])[], value: T): W {
  const row = table.find(([name]) => name === value);
  if (!row) throw new Unreadable(`unknown value ${String(value)}`);
  return row[1];
}

function fromWire<T, W>(table: readonly (readonly [T, W])[], wire: W, what: string): T {
  const row = table.find(([, number]) => number === wire);
  if (!row) throw new Unreadable(`${what} has the unknown value ${String(wire)}`);
  return row[0];
}

export const viaToWire = (via: Via | null): WireVia =>
  via === null ? WireVia.UNSPECIFIED : toWire(VIAS, via);
export const viaFromWire = (wire: WireVia): Via => fromWire(VIAS, wire, 'via');
export const viaOrNull = (wire: WireVia): Via | null =>
  wire === WireVia.UNSPECIFIED ? null : viaFromWire(wire);
export const freshnessToWire = (freshness: Freshness): WireFreshness =>
  toWire(FRESHNESSES, freshness);
export const freshnessFromWire = (wire: WireFreshness): Freshness =>
  fromWire(FRESHNESSES, wire, 'freshness');
export const phaseToWire = (phase: Phase): WirePhase => toWire(PHASES, phase);
export const phaseFromWire = (wire: WirePhase): Phase => fromWire(PHASES, wire, 'phase');

export function digestField(bytes: Uint8Array, what: string): Digest {
  const digest = digestFromBytes(bytes);
  if (!digest) throw new Unreadable(`${what} has ${bytes.length} bytes, a digest has 32`);
  return digest;
}

/** Empty bytes are no digest. */
export function digestOrNull(bytes: Uint8Array, what: string): Digest | null {
  return bytes.length === 0 ? null : digestField(bytes, what);
}

/** Times and sizes: exact as a number, never negative. */
export function numberField(value: bigint, what: string): number {
  if (value < 0n || value > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new Unreadable(`${what} is ${value}, out of range`);
  }
  return Number(value);
}

export function wholeNumber(value: number, what: string): bigint {
  if (!Number.isSafeInteger(value) || value < 0) throw new Unreadable(`${what} is ${value}`);
  return BigInt(value);
}

export function pointToWire(point: StatusPoint): WirePoint {
  return create(PointSchema, {
    epoch: point.epoch,
    sequence: point.sequence,
    stateDigest: digestToBytes(point.stateDigest),
    at: wholeNumber(point.at, 'at'),
  });
}

export function pointFromWire(wire: WirePoint): StatusPoint {
  return {
    epoch: wire.epoch,
    sequence: wire.sequence,
    stateDigest: digestField(wire.stateDigest, 'state_digest'),
    at: numberField(wire.at, 'at'),
  };
}

export function required<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Unreadable(`${what} is missing`);
  return value;
}

/** One of the listed texts. */
export function oneOf<T extends string>(texts: readonly T[], text: string, what: string): T {
  const found = texts.find((candidate) => candidate === text);
  if (found === undefined) throw new Unreadable(`${what} is ${quote(text)}`);
  return found;
}

/** A code of a later version reads as `store.unknown-code`; its message is kept beside it. */
export function codeFromText(text: string): Code {
  return Object.hasOwn(FAULTS, text) ? (text as Code) : 'store.unknown-code';
}
