/** Exit codes (FORMATS: Exit codes), from the prefix of a fault's code. */
import type { Code } from '#errors/fault.ts';

export const EXIT = {
  done: 0,
  differs: 1,
  usage: 2,
  refusedByTrust: 3,
  noLink: 4,
  noAgent: 5,
  applyFailed: 6,
  brokenAssumption: 70,
} as const;

/** Of values of a device: who is believed, what comes into force; all else is a slip of the desk. */
const VALUES: Partial<Readonly<Record<Code, number>>> = {
  'values.unopened': EXIT.refusedByTrust,
  'values.status': EXIT.refusedByTrust,
  'values.device-key': EXIT.refusedByTrust,
  'values.unresolved': EXIT.applyFailed,
  'values.not-volatile': EXIT.applyFailed,
};

/** The exit code that a fault ends a command with. */
export function exitCodeOf(code: Code): number {
  if (code === 'control.no-agent') return EXIT.noAgent;
  if (code === 'enroll.pending') return EXIT.differs;
  const ofValues = VALUES[code];
  if (ofValues !== undefined) return ofValues;
  switch (code.slice(0, code.indexOf('.'))) {
    case 'trust':
    case 'enroll':
    case 'source':
    case 'format':
      return EXIT.refusedByTrust;
    case 'link':
      return EXIT.noLink;
    case 'apply':
    case 'plan':
    case 'drift':
      return EXIT.applyFailed;
    default:
      return EXIT.usage;
  }
}
