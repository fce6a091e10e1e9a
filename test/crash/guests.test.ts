/**
 * A machine of its own that loses its power, once for each architecture whose image is there: `npm run
 * guests` makes it (a minute of downloads) and cuts it many times.
 */
import { describe, expect, test } from 'bun:test';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { cutGuests } from '../power/guests.ts';
import { program, ROOT } from '../support/parts.ts';
import { missing } from '../support/plant.ts';

const SEED = Number(process.env.HOLDFAST_POWER_SEED ?? Date.now() % 1_000_000);

describe('B12: the power of a whole machine goes', () => {
  for (const [arch, qemu] of [
    ['arm64', 'qemu-system-aarch64'],
    ['amd64', 'qemu-system-x86_64'],
  ] as const) {
    const folder = join(ROOT, '.cache/guests', arch);
    const [root, initramfs] = [join(folder, 'root.img'), join(folder, 'initramfs')];
    const boot = join(folder, 'packages/boot');
    const made = [root, initramfs, boot].every((path) => existsSync(path));
    const reason =
      missing ??
      (program(qemu) === null ? `no ${qemu}` : made ? null : 'npm run guests has not been run');
    const able = reason === null ? test : test.skip;
    const title = `${arch}: the old or the new state, and nothing that was told is gone`;
    able(
      reason === null ? title : `${title} (${reason})`,
      async () => {
        const name = readdirSync(boot).find((each) => each.startsWith('vmlinuz-')) ?? '';
        const kit = { arch, root, initramfs, kernel: join(boot, name) };
        const { cuts, flushes, waiting, bad } = await cutGuests({ cuts: 1, seed: SEED, kit });
        console.log(
          `${cuts} cut (seed ${SEED}), ${flushes} flushes, ${waiting} writes not flushed`,
        );
        expect(bad).toEqual([]);
        expect(cuts).toBe(1);
      },
      300_000,
    );
  }
});
