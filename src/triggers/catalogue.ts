/** The triggers there are. One more is a file here, a line below, and a run of the contract suite. */
import { bundleDrop } from './bundle-drop.ts';
import { command } from './command.ts';
import { nudge } from './nudge.ts';
import { reconnect } from './reconnect.ts';
import { schedule } from './schedule.ts';
import type { Trigger, Wake } from './trigger.ts';

export const TRIGGERS = { bundleDrop, command, nudge, reconnect, schedule } as const;

/** Starts them all; the returned function stops them all. */
export function startAll(triggers: readonly Trigger[], wake: (wake: Wake) => void): () => void {
  const stops = triggers.map((trigger) => trigger.start(wake));
  return () => {
    for (const stop of stops) stop();
  };
}
