/** Who owns what on this device, read from the rows: in force, accepted, and left behind. */
import { afterEach, beforeEach, expect, test } from 'bun:test';
import { checkOthers, realBelow } from '#apply/owned.ts';
import { generationsOf } from '#apply/recover.ts';
import { runTransaction } from '#apply/transaction.ts';
import { ok } from '#errors/fault.ts';
import type { Generation } from '#state/generation.ts';
import { type ApplyWorld, applyWorld } from '../../support/apply-world.ts';
import { codeOf, FLEET, value } from '../../support/store.ts';

const never = new AbortController().signal;
const OWN = { fleet: FLEET, channel: 'oem' };

let world: ApplyWorld;
let held: Generation;
beforeEach(async () => {
  world = applyWorld();
  await runTransaction(world.context(), world.change(1, { conf: '1' }), never);
  const { applied } = world.row();
  const [first] = value(generationsOf(world.context(), world.row(), applied?.stateDigest ?? null));
  if (!first) throw new Error('nothing is applied');
  held = first;
});
afterEach(() => world.remove());

function check(desired: Generation, followed: readonly string[]) {
  const { store, content } = world.context();
  const owning = { store, content, followed: { fleet: FLEET, channels: new Set(followed) } };
  return checkOthers(owning, OWN, [desired]);
}

test('what a followed channel has in force is not taken, by its id or by its target', () => {
  expect(codeOf(check(held, ['stable', 'oem']))).toBe('plan.conflict');
  expect(codeOf(check({ ...held, id: 'other' }, ['stable', 'oem']))).toBe('plan.conflict');
});

test('of a channel that was left the same id is taken over, its target under another id is not', () => {
  expect(check(held, ['oem']).ok).toBe(true);
  const other = check({ ...held, id: 'other' }, ['oem']);
  expect(other.ok ? '' : other.fault.message).toContain('(channel stable)');
});

test('what a channel has accepted and is bringing into force counts before it is', async () => {
  const next = world.change(2, { fresh: '1' });
  const context = {
    ...world.context(),
    async prove() {
      const fresh = { ...held, id: 'fresh' };
      expect(codeOf(check(fresh, ['stable', 'oem']))).toBe('plan.conflict');
      return ok(undefined);
    },
  };
  await runTransaction(context, { ...next, healthWindowMs: 10 }, never);
  expect.assertions(2);
  expect(world.row().applied?.sequence).toBe(2n);
});

test('two names of a target root are one place; a root that is no link reads as it is', () => {
  const files = { realPath: (path: string) => ok(path === '/srv/link' ? '/opt/line' : path) };
  const real = realBelow(files, ['/srv', '/srv/link']);
  expect(real('/srv/link/a/b')).toBe('/opt/line/a/b');
  expect(real('/srv/other')).toBe('/srv/other');
  expect(real('/elsewhere')).toBe('/elsewhere');
});
