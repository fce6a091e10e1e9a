/**
 * The simulator in short: some seeds without a violation, the same trace twice, and nothing of the
 * real world in reach. Each simulation is a process of its own, as in `npm run simulate`.
 */
import { describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import type { Sum } from './simulate.ts';

const MAIN = [
  `--preload=${join(import.meta.dir, 'known-signatures.ts')}`,
  join(import.meta.dir, 'simulate.ts'),
];

async function simulate(
  ...args: readonly string[]
): Promise<{ code: number; sum: Sum; out: string }> {
  const child = Bun.spawn([process.execPath, ...MAIN, ...args], {
    stdout: 'pipe',
    stderr: 'inherit',
  });
  const out = await new Response(child.stdout).text();
  const last = out.trimEnd().split('\n').at(-1) ?? '';
  return { code: await child.exited, sum: JSON.parse(last) as Sum, out };
}

describe('a device in the simulated world', () => {
  test('keeps I1 to I9 through power cuts, faults and people, whatever the seed', async () => {
    const { code, sum, out } = await simulate('--seed', '1', '--runs', '12');
    expect(sum.violations === 0 ? '' : out).toBe('');
    expect({ code, runs: sum.runs }).toEqual({ code: 0, runs: 12 });
    expect(sum.cuts).toBeGreaterThan(1_000);
  });
  test('keeps each of its channels whole, and to its hours and bounds, over mirrors that lie', async () => {
    const { code, sum, out } = await simulate('--seed', '22', '--step', '10', '--runs', '3');
    expect(sum.violations === 0 ? '' : out).toBe('');
    expect({ code, runs: sum.runs }).toEqual({ code: 0, runs: 3 });
    expect(sum.cuts).toBeGreaterThan(150);
  });
  test('does the same for the same seed, byte for byte, and something else for another', async () => {
    const [first, second, other] = await Promise.all([
      simulate('--seed', '7', '--runs', '2'),
      simulate('--seed', '7', '--runs', '2'),
      simulate('--seed', '8', '--runs', '2'),
    ]);
    expect(second.sum.hash).toBe(first.sum.hash);
    expect(other.sum.hash).not.toBe(first.sum.hash);
  });
  test('verifies signatures for real in every hundredth run', async () => {
    const { sum } = await simulate('--seed', '100', '--runs', '1');
    expect(sum.verified.remembered).toBe(0);
    expect(sum.verified.real).toBeGreaterThan(0);
  });
});
