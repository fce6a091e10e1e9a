/** The parts of a channel's row that say what is on its way to being applied, and how often it was begun. */
import type { Intent, Tried } from '#state/channel-row.ts';
import { digestToBytes } from '#state/digest.ts';
import type { Intent as WireIntent, Tried as WireTried } from './generated/store_pb.ts';
import {
  codeFromText,
  digestField,
  freshnessFromWire,
  freshnessToWire,
  oneOf,
  phaseFromWire,
  phaseToWire,
  pointFromWire,
  pointToWire,
  required,
  viaFromWire,
  viaToWire,
} from './record-parts.ts';

const INTENT_KINDS = ['apply', 'rollback', 'values'] as const;
const INTENT_PHASES = ['waiting', 'activating', 'proving', 'undoing', 'stuck'] as const;

export function intentToWire(intent: Intent) {
  return {
    kind: intent.kind,
    phase: phaseToWire(intent.phase),
    to: pointToWire(intent.to),
    via: viaToWire(intent.via),
    freshness: freshnessToWire(intent.freshness),
    tries: intent.tries,
    attemptsMax: intent.attemptsMax,
    ...(intent.failure && { failure: { ...intent.failure } }),
    ...(intent.reach && { reach: [...intent.reach] }),
    ...(intent.restarting && { restarting: true }),
    stops: intent.stops ?? 0,
  };
}

export function intentFromWire(wire: WireIntent): Intent {
  return {
    kind: oneOf(INTENT_KINDS, wire.kind, 'kind'),
    phase: oneOf(INTENT_PHASES, phaseFromWire(wire.phase), 'phase'),
    to: pointFromWire(required(wire.to, 'to')),
    via: viaFromWire(wire.via),
    freshness: freshnessFromWire(wire.freshness),
    tries: wire.tries,
    attemptsMax: wire.attemptsMax,
    failure: wire.failure
      ? {
          code: codeFromText(wire.failure.code),
          message: wire.failure.message,
          deployment: wire.failure.deployment,
        }
      : null,
    ...(wire.reach.length > 0 && { reach: wire.reach }),
    ...(wire.restarting && { restarting: true }),
    ...(wire.stops > 0 && { stops: wire.stops }),
  };
}

export function triedToWire({ stateDigest, tries, attemptsMax }: Tried) {
  return { stateDigest: digestToBytes(stateDigest), tries, attemptsMax };
}

export function triedFromWire({ stateDigest, tries, attemptsMax }: WireTried): Tried {
  return { stateDigest: digestField(stateDigest, 'tried.state_digest'), tries, attemptsMax };
}
