/**
 * The network between devices and servers: one weather for all of it. Answers take time; a
 * partition makes everything unreachable and breaks what is open; a bad link loses answers, cuts
 * bodies, lies about lengths and says things twice.
 */
import type { Dice } from './random.ts';
import type { Timeline } from './timeline.ts';

export interface Weather {
  /** nothing gets through */
  parted: boolean;
  /** one answer in so many meets trouble; 0: none */
  troubleOneIn: number;
}

export interface Network {
  readonly weather: Weather;
  readonly time: Timeline;
  readonly dice: Dice;
  /** ms that the next message takes */
  delayMs(): number;
  /** whether the next message meets trouble */
  isBad(): boolean;
  /** Parts or heals; who holds a connection is told of a partition. */
  part(parted: boolean): void;
  /** @returns stops listening */
  onPart(call: () => void): () => void;
}

export function network(time: Timeline, dice: Dice, from?: Weather): Network {
  const weather: Weather = from ? { ...from } : { parted: false, troubleOneIn: 0 };
  const holders = new Set<() => void>();
  return {
    weather,
    time,
    dice,
    delayMs: () => 3 + dice.below(40),
    isBad: () => weather.troubleOneIn > 0 && dice.oneIn(weather.troubleOneIn),
    part(parted) {
      weather.parted = parted;
      if (parted) for (const call of [...holders]) call();
    },
    onPart(call) {
      holders.add(call);
      return () => void holders.delete(call);
    },
  };
}
