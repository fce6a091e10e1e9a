/**
 * A machine of its own that loses its power, once for each architecture whose Debian packages are
 * there: `npm run guests` fetches them (a minute) and cuts it many times.
 */
import { describe, expect, test } from 'bun:test';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { guestImage } from '../../scripts/guest-image.ts';
import { cutGuests } from '../power/guests.ts';
import { executable, program, ROOT } from '../support/parts.ts';
import { missing } from '../support/plant.ts';

/** one may come in the first start of all */
const CUTS = 2;
const SEED = Number(process.env.HOLDFAST_POWER_SEED ?? Date.now() % 1_000_000);

describe('B12: the power of a whole machine goes', () => {
  for (const [arch, qemu, target] of [
    ['arm64', 'qemu-system-aarch64', 'linux-arm64'],
    ['amd64', 'qemu-system-x86_64', undefined],
  ] as const) {
    const built = executable(target) ?? '';
    const unpacked = existsSync(join(ROOT, '.cache/guests', arch, 'unpacked'));
    const reason =
      missing ??
      (program(qemu) === null
        ? `no ${qemu}`
        : built === ''
          ? 'no executable for it'
          : unpacked
            ? null
            : 'npm run guests has not been run');
    const able = reason === null ? test : test.skip;
    const title = `${arch}: the old or the new state, and nothing that was told is gone`;
    able(
      reason === null ? title : `${title} (${reason})`,
      async () => {
        const kit = await guestImage(arch, built);
        const { cuts, flushes, waiting, bad } = await cutGuests({
          ...{ cuts: CUTS, seed: SEED, lanes: 1, kit },
        });
        console.log(
          `${cuts} cuts (seed ${SEED}), ${flushes} flushes, ${waiting} writes not flushed`,
        );
        expect(bad).toEqual([]);
        expect(cuts).toBe(CUTS);
      },
      // What is waited for ends by the progress of the machine (test/power/guest.ts).
      1_800_000,
    );
  }
});
