/** The part of a channel's row that says what waits for its place in the spread, or for a window. */
import type { Deferred } from '#state/channel-row.ts';
import type { Deferred as WireDeferred } from './generated/store_pb.ts';
import {
  numberField,
  pointFromWire,
  pointToWire,
  required,
  viaFromWire,
  viaToWire,
  wholeNumber,
} from './record-parts.ts';

export function deferredToWire({ to, via, spreadMs, leftMs, bootId, dueMs }: Deferred) {
  return {
    to: pointToWire(to),
    via: viaToWire(via),
    spreadMs: wholeNumber(spreadMs, 'spread_ms'),
    leftMs: wholeNumber(leftMs, 'left_ms'),
    bootId,
    dueMs: wholeNumber(dueMs, 'due_ms'),
  };
}

export function deferredFromWire(wire: WireDeferred): Deferred {
  return {
    to: pointFromWire(required(wire.to, 'deferred.to')),
    via: viaFromWire(wire.via),
    spreadMs: numberField(wire.spreadMs, 'spread_ms'),
    leftMs: numberField(wire.leftMs, 'left_ms'),
    bootId: wire.bootId,
    dueMs: numberField(wire.dueMs, 'due_ms'),
  };
}
