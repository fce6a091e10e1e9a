/**
 * Who a device is: the same as long as it is the same machine, somebody new on another one (a card
 * that was copied, a board that was changed). No two machines ever speak with one key.
 */
import type { Violation } from './model.ts';

export interface Identities {
  /** At a start. @param machine  what names it now */
  seen(machine: string, key: string): void;
  copy(violations: Violation[]): Identities;
}

interface Facts {
  /** key → the machine that spoke with it */
  readonly machines: Map<string, string>;
  last: { readonly machine: string; readonly key: string } | null;
}

export function identities(violations: Violation[], known?: Facts): Identities {
  const facts: Facts = { last: known?.last ?? null, machines: new Map(known?.machines) };
  const fail = (says: string): void => void violations.push({ invariant: 'identity', says });
  return {
    seen(machine, key) {
      const { last, machines } = facts;
      if (last && last.machine === machine && last.key !== key) {
        fail('the device made itself another identity on the same machine');
      }
      const other = machines.get(key);
      if (other !== undefined && other !== machine) fail('two machines speak with one key');
      machines.set(key, machine);
      facts.last = { machine, key };
    },
    copy: (others) => identities(others, facts),
  };
}
