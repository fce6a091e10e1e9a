/** The trials, and how the end of a run comes to one of them. */
import { pass } from '../world/world.ts';
import { equivocated, forged } from './forgeries.ts';
import { otherBytes, rolledBackOffline, stoppedOnTrial, toldIntoNothing } from './kept.ts';
import {
  cutInEveryActivation,
  cutInEveryProof,
  endedByNewer,
  rejectedStaysRejected,
} from './stubborn.ts';
import { plain, reach, SEEN_MS, type Trial, type Trying } from './trial.ts';

export const TRIALS: Readonly<Record<string, Trial>> = {
  'cut in every activation': cutInEveryActivation,
  'cut in every proof': cutInEveryProof,
  'rejected stays rejected': rejectedStaysRejected,
  'ended by something newer': endedByNewer,
  forged,
  'forged again': forged,
  'forged once more': forged,
  'two statements of one number': equivocated,
  'told into nothing': toldIntoNothing,
  'rolled back offline': rolledBackOffline,
  'stopped on trial': stoppedOnTrial,
  'other bytes': otherBytes,
};

/** One of them, by name or as the dice say; then the device takes a good state. @returns its name */
export function undergo(trying: Trying, name?: string): string {
  const { stage, choose } = trying;
  const which = name ?? choose.pick(Object.keys(TRIALS));
  TRIALS[which]?.(trying);
  if (stage.model.violations.length > 0) return which;
  reach(trying, plain(stage, choose));
  pass(stage.world, { ms: SEEN_MS, holds: trying.isThere });
  return which;
}
