/** Every planted fault, in the order of the table that `npm run faults` prints. */
import { DEVICE_FAULTS } from './device-faults.ts';
import { HOUR_FAULTS } from './hour-faults.ts';
import { LINK_FAULTS } from './link-faults.ts';
import { MIRROR_FAULTS } from './mirror-faults.ts';
import { TRUST_FAULTS } from './trust-faults.ts';
import type { Fault } from './world.ts';

export const ALL_FAULTS: readonly Fault[] = [
  ...LINK_FAULTS,
  ...MIRROR_FAULTS,
  ...TRUST_FAULTS,
  ...DEVICE_FAULTS,
  ...HOUR_FAULTS,
];
