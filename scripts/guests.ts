/**
 * `npm run guests -- --cuts N --arch arm64|amd64 [--seed S]`: a machine in QEMU (never with /dev/kvm),
 * Debian's kernel, the compiled agent, updated over MQTT and OCI from here, killed together with the
 * power of its disk, booted again (test/power/guests.ts). The last line is
 * `guests: N cuts on ARCH, N bad`.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from './build.ts';
import { type GuestArch, guestImage, guestParts } from './guest-image.ts';
import { ROOT } from './targets.ts';
import { provide } from './test-parts.ts';

const { values } = parseArgs({
  options: {
    cuts: { type: 'string', default: '100' },
    arch: { type: 'string', default: 'arm64' },
    seed: { type: 'string', default: '1' },
  },
});
const [cuts, seed] = [Number(values.cuts), Number(values.seed)];
const arches: readonly GuestArch[] = ['amd64', 'arm64'];
const arch = arches.find((each) => each === values.arch);
if (!Number.isInteger(cuts) || cuts < 1 || !Number.isInteger(seed) || arch === undefined) {
  console.log('usage: npm run guests -- --cuts N --arch arm64|amd64 [--seed S]');
  process.exit(2);
}
await provide(guestParts(arch));
// The publisher runs here, the agent there.
await build(`${process.platform}-${process.arch}`);
const executable = await build(arch === 'arm64' ? 'linux-arm64' : 'linux-x64');
const { kernel, initramfs, root } = await guestImage(arch, executable);
const program = join(ROOT, 'test/power/guests.ts');
const child = Bun.spawn(
  [process.execPath, program, arch, `${cuts}`, `${seed}`, kernel, initramfs, root],
  {
    cwd: ROOT,
    stdin: 'ignore',
    stdout: 'inherit',
    stderr: 'inherit',
    // Waits are for real parts on a machine that does other work as well.
    env: { HOLDFAST_PATIENCE: '4', ...process.env },
  },
);
process.exit(await child.exited);
