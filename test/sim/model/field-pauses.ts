/**
 * `pause`, of the device or of one channel, holds until it is taken back: over restarts, power cuts
 * and whatever is published meanwhile. Nothing new is accepted where it holds, and a pause of one
 * channel keeps no other one. A request whose answer never came may hold or not.
 */
import type { FieldTold } from './field-told.ts';
import type { FieldStatement } from './field-wanted.ts';
import { compare, type Numbered } from './model.ts';

type Known = boolean | 'open';

/** null: of the device */
type Scope = string | null;

export interface Pauses {
  /** Before the answer: from now on it may hold. */
  asked(scope: Scope, what: 'pause' | 'resume'): void;
  /** @param calm  channels with nothing under way */
  answered(scope: Scope, paused: boolean, now: readonly FieldTold[], calm: boolean): void;
  seen(told: FieldTold): void;
  switched(named: readonly FieldStatement[], followed: readonly string[]): void;
  /** The operator asked for something that is never barred. */
  askedBack(channel: string): void;
  /** for good */
  holds(channel: string): Known;
  forgotten(channel: string): void;
  copy(fail: (invariant: string, says: string) => void): Pauses;
}

interface Facts {
  device: Known;
  readonly own: Map<string, Known>;
  readonly floors: Map<string, Numbered | null>;
  /** paused with nothing under way: nothing is switched there */
  readonly calm: Set<string>;
}

export function pauses(fail: (invariant: string, says: string) => void, known?: Facts): Pauses {
  const facts: Facts = {
    device: known?.device ?? false,
    own: new Map(known?.own),
    floors: new Map(known?.floors),
    calm: new Set(known?.calm),
  };
  return {
    asked(scope, what) {
      if (scope === null) facts.device = 'open';
      else facts.own.set(scope, 'open');
      // `resume` of the device is of every channel as well.
      const all = scope === null && what === 'resume' ? [...facts.own.keys()] : [];
      for (const name of all) facts.own.set(name, 'open');
      facts.calm.clear();
    },
    answered(scope, paused, now, calm) {
      if (scope === null) facts.device = paused;
      const followed = now.filter(({ orphaned }) => !orphaned).map(({ channel }) => channel);
      // A channel that is not followed now is not asked: one that comes back may be paused still.
      if (scope !== null) facts.own.set(scope, paused);
      else if (!paused) for (const name of followed) facts.own.set(name, false);
      // What a channel accepted that is not followed now was last looked at before that.
      facts.floors.clear();
      for (const told of now) {
        facts.floors.set(told.channel, told.floor);
        if (calm && holds(facts, told.channel) === true) facts.calm.add(told.channel);
      }
    },
    seen: (told) => seen(facts, told, fail),
    switched(named, followed) {
      const here = named.filter(({ channel }) => followed.includes(channel));
      if (here.length === 0 || !here.every(({ channel }) => facts.calm.has(channel))) return;
      const says = `${here[0]?.channel} is paused, and ${here[0]?.mark.trim()} came into force`;
      fail('pause', says);
    },
    askedBack: (channel) => void facts.calm.delete(channel),
    holds: (channel) => holds(facts, channel),
    forgotten(channel) {
      facts.own.delete(channel);
      facts.floors.delete(channel);
      facts.calm.delete(channel);
    },
    copy: (other) => pauses(other, facts),
  };
}

function holds({ device, own }: Facts, channel: string): Known {
  const one = own.get(channel) ?? false;
  if (device === true || one === true) return true;
  return device === 'open' || one === 'open' ? 'open' : false;
}

function seen(
  facts: Facts,
  told: FieldTold,
  fail: (invariant: string, says: string) => void,
): void {
  const { channel, paused, floor } = told;
  const expected = holds(facts, channel);
  if (expected === 'open') {
    if (!paused) {
      facts.own.set(channel, false);
      if (facts.device === 'open') facts.device = false;
    }
    facts.floors.set(channel, floor);
    return;
  }
  if (expected !== paused) {
    const says = paused ? 'paused, and nobody asked for it' : 'a pause ended by itself';
    fail('pause', `${channel}: ${says}`);
  }
  const before = facts.floors.get(channel);
  if (expected && before !== undefined && compare(floor, before) > 0) {
    fail('pause', `${channel}: paused, and ${floor?.epoch}.${floor?.sequence} was accepted`);
  }
  facts.floors.set(channel, floor);
}
