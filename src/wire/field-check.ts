/**
 * Values of decoded messages, judged field by field. The first problem is kept; a field that fails
 * yields a filler, and the reader that sees `problem` set returns a refusal instead of its result.
 */
import { type Digest, digestFromBytes, sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import type { Fleet } from '#state/names.ts';
import { quote } from './quote.ts';
import { hasControl } from './text.ts';

export interface Problem {
  /** as in the schema: `deployments[2].digest` */
  readonly field: string;
  readonly reason: string;
}

export interface FieldCheck {
  /** the first one */
  problem(): Problem | null;
  fail(field: string, reason: string): void;
  /** Fails unless `passed`. */
  require(passed: boolean, field: string, reason: string): void;
  /** Unix ms, 0 when unset: neither negative nor beyond 2^53 (row P08) */
  time(field: string, value: bigint): number;
  /** ms, 0 when unset, at most LIMITS.durationMs */
  duration(field: string, value: bigint): number;
  /** bytes */
  size(field: string, value: bigint, min: number, max: number): number;
  /** 32 raw bytes */
  digest(field: string, value: Uint8Array): Digest;
  /** 32 raw bytes; none: null */
  digestOrNull(field: string, value: Uint8Array): Digest | null;
  fleet(field: string, value: Uint8Array): Fleet;
  /** 1 … `max` characters without controls */
  text(field: string, value: string, max: number): string;
  /** each value once */
  distinct(field: string, values: readonly string[]): void;
}

const FILLER = sha256(new Uint8Array());
const FLEET_BYTES = 16;

export function fieldCheck(): FieldCheck {
  let first: Problem | null = null;
  const fail = (field: string, reason: string): void => {
    first ??= { field, reason };
  };
  const require = (passed: boolean, field: string, reason: string): void => {
    if (!passed) fail(field, reason);
  };
  const whole = (field: string, value: bigint, min: number, max: number): number => {
    require(value >= min && value <= max, field, `${value} is not ${min} to ${max}`);
    return Number(value);
  };
  const digest = (field: string, value: Uint8Array): Digest => {
    const known = digestFromBytes(value);
    if (known === null) fail(field, `${value.length} bytes; a SHA-256 digest has 32`);
    return known ?? FILLER;
  };
  return {
    problem: () => first,
    fail,
    require,
    time: (field, value) => whole(field, value, 0, Number.MAX_SAFE_INTEGER),
    duration: (field, value) => whole(field, value, 0, LIMITS.durationMs),
    size: whole,
    digest,
    digestOrNull: (field, value) => (value.length === 0 ? null : digest(field, value)),
    fleet(field, value) {
      require(value.length === FLEET_BYTES, field, `${value.length} bytes; a fleet has 16`);
      return Buffer.from(value).toString('hex');
    },
    text(field, value, max) {
      const fits = value.length > 0 && value.length <= max && !hasControl(value);
      require(fits, field, `${quote(value)} is not 1 to ${max} characters without controls`);
      return value;
    },
    distinct(field, values) {
      const seen = new Set<string>();
      for (const value of values) {
        require(!seen.has(value), field, `${quote(value)} stands twice`);
        seen.add(value);
      }
    },
  };
}

/** 32 hex digits to 16 bytes. */
export function fleetToBytes(fleet: Fleet): Uint8Array {
  return new Uint8Array(Buffer.from(fleet, 'hex'));
}
