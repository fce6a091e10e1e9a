/**
 * Spread and maintenance windows on a whole simulated device: what waits, for how long, and that
 * neither a restart, a power cut, a clock that somebody sets nor a lost link changes it.
 */
import { describe, expect, test } from 'bun:test';
import { placeInSpread } from '#plan/spread.ts';
import type { Policy } from '#state/policy.ts';
import { apart } from '../apart.ts';
import { EPOCH_START_MS, FLEET } from '../world/publisher.ts';
import type { Observer, World } from '../world/shape.ts';
import type { Choice } from '../world/states.ts';
import { boot, makeWorld, pass } from '../world/world.ts';

const HOUR = 3_600_000;
const MINUTE = 60_000;
const DAY = 24 * HOUR;
const PLAIN: Choice = {
  ...{ conf: 1, web: 1, plc: null, conduct: {} },
  ...{ check: null, reload: false },
};

function quiet(): Observer {
  const stop = (why: unknown): never => {
    throw new Error(String(why));
  };
  return {
    trace: () => undefined,
    ready: () => undefined,
    cut: () => undefined,
    failed: (_world, why) => stop(why.message),
    broke: (_world, why) => stop(why),
  };
}

function device(): World {
  const world = makeWorld('deferral', quiet());
  boot(world);
  pass(world, { ms: 3_000 });
  publish(world, PLAIN, {});
  expect(pass(world, { ms: MINUTE, holds: () => applied(world) === '1.1' })).toBe(true);
  return world;
}

function publish(world: World, choice: Choice, policy: Partial<Policy>, urgent = false): void {
  const issued = world.publisher.issue(choice, { policy });
  world.publisher.push(issued);
  world.publisher.nudge(issued, { whole: urgent, retain: true });
}

function channel(world: World) {
  const status = world.running?.handlers.status();
  return status?.ok ? (status.value.channels[0] ?? null) : null;
}

const applied = (world: World) => channel(world)?.applied?.point ?? null;
const waits = (world: World) => channel(world)?.waitingFor?.code ?? null;

/** Bytes of an applied state aside: what of the next one is on the disk already. */
function blobs(world: World): number {
  const folder = world.disk.find('/var/lib/holdfast/content', false);
  const names = folder?.kind === 'directory' ? [...folder.entries.keys()] : [];
  return names.filter((name) => name.endsWith('.blob')).length;
}

/** The second state of channel stable, as the device sees it. */
function place(spreadMs: number, sequence = 2n): number {
  const at = { fleet: FLEET, channel: 'stable', epoch: 1n, sequence, deviceId: 'press-7' };
  return placeInSpread({ ...at, spreadMs });
}

/** ms until the state is applied, from now; null: not within `ms`. */
function takes(world: World, point: string, ms: number): number | null {
  const from = world.time.now;
  return pass(world, { ms, holds: () => applied(world) === point }) ? world.time.now - from : null;
}

describe('spread', () => {
  test('nothing beside the envelope is fetched before this device’s place; then all by itself', async () => {
    const seen = await apart(() => {
      const world = device();
      const before = blobs(world);
      publish(world, { ...PLAIN, web: 2 }, { spreadMs: HOUR });
      pass(world, { ms: MINUTE });
      const held = {
        code: waits(world),
        more: blobs(world) - before,
        floor: channel(world)?.desired?.point,
      };
      return { held, took: takes(world, '1.2', 2 * HOUR) };
    });
    expect(seen.held).toEqual({ code: 'plan.spread', more: 0, floor: '1.1' });
    expect(place(HOUR)).toBeGreaterThan(2 * MINUTE);
    expect(Math.abs((seen.took ?? 0) + MINUTE - place(HOUR))).toBeLessThan(MINUTE);
  });

  test('restarts of the agent and set clocks change nothing of it', async () => {
    const took = await apart(() => {
      const world = device();
      publish(world, { ...PLAIN, web: 2 }, { spreadMs: HOUR });
      const from = world.time.now;
      for (const ms of [0, Date.UTC(2040, 1, 1), EPOCH_START_MS]) {
        pass(world, { ms: MINUTE });
        world.wallOffsetMs = ms - world.time.now;
        world.running?.stop();
      }
      takes(world, '1.2', 2 * HOUR);
      return world.time.now - from;
    });
    expect(Math.abs(took - place(HOUR))).toBeLessThan(MINUTE);
  });

  test('a reboot keeps what was waited, and cuts at every minute still come to an end', async () => {
    const boots = await apart(() => {
      const world = device();
      publish(world, { ...PLAIN, web: 2 }, { spreadMs: DAY });
      const before = world.boots;
      pass(world, { ms: MINUTE });
      for (let times = 0; times < 40 && applied(world) !== '1.2'; times += 1) {
        world.steps.cutAt(world.steps.count + 1, 'power');
        // Any act that writes: the cut strikes at its first byte.
        world.running?.handlers.apply(null, () => {}).catch(() => {});
        pass(world, { ms: 2 * MINUTE });
      }
      expect(applied(world)).toBe('1.2');
      return world.boots - before;
    });
    expect(boots).toBeGreaterThan(1);
    expect(boots).toBeLessThanOrEqual(20);
  });

  test('an urgent policy passes it; an urgent nudge is a hint and does not', async () => {
    const seen = await apart(() => {
      const world = device();
      publish(world, { ...PLAIN, web: 2 }, { spreadMs: HOUR }, true);
      pass(world, { ms: MINUTE });
      const hinted = applied(world);
      publish(world, { ...PLAIN, web: 3 }, { spreadMs: HOUR, urgent: true });
      return { hinted, took: takes(world, '1.3', MINUTE) };
    });
    expect(seen.hinted).toBe('1.1');
    expect(seen.took).not.toBeNull();
  });

  test('a newer state never waits longer than the one before it would have', async () => {
    const took = await apart(() => {
      const world = device();
      const from = world.time.now;
      for (let web = 2; web < 2_000 && applied(world) === '1.1'; web += 1) {
        publish(world, { ...PLAIN, web: web % 9 }, { spreadMs: HOUR });
        pass(world, { ms: 3 * MINUTE });
      }
      return world.time.now - from;
    });
    expect(took).toBeLessThan(place(HOUR) + 5 * MINUTE);
  });

  test('`apply --now` passes it, a bundle too, and a plain `apply` does not', async () => {
    const seen = await apart(() => {
      const world = device();
      publish(world, { ...PLAIN, web: 2 }, { spreadMs: DAY });
      pass(world, { ms: MINUTE });
      world.running?.handlers.apply(null, () => {}).catch(() => {});
      pass(world, { ms: MINUTE });
      const plain = applied(world);
      world.running?.handlers.apply(null, () => {}, true).catch(() => {});
      pass(world, { ms: MINUTE });
      const now = applied(world);
      const issued = world.publisher.issue({ ...PLAIN, web: 3 }, { policy: { spreadMs: DAY } });
      world.publisher.bundle(world.disk, '/media/usb/stick', issued);
      return { plain, now, took: takes(world, '1.3', 5 * MINUTE) };
    });
    expect(seen).toMatchObject({ plain: '1.1', now: '1.2' });
    expect(seen.took).not.toBeNull();
  });
});

/** Opens two hours after the simulated world begins, for an hour, each day. */
const START = new Date(EPOCH_START_MS + 2 * HOUR).toISOString().slice(11, 16);
const WINDOW = { weekdays: [], start: START, durationMs: HOUR, timeZone: 'UTC' };
const OPENS = Date.parse(`${new Date(EPOCH_START_MS + 2 * HOUR).toISOString().slice(0, 16)}:00Z`);

describe('maintenance windows', () => {
  test('everything is fetched at once, and comes into force when the window opens, without a link', async () => {
    const seen = await apart(() => {
      const world = device();
      const before = blobs(world);
      publish(world, { ...PLAIN, web: 2 }, { windows: [WINDOW] });
      pass(world, { ms: MINUTE });
      const held = {
        code: waits(world),
        more: blobs(world) > before,
        floor: channel(world)?.desired?.point,
      };
      world.network.part(true);
      world.running?.stop();
      const took = takes(world, '1.2', 3 * HOUR);
      return { held, took, at: world.wallMs() };
    });
    expect(seen.held).toEqual({ code: 'plan.window-closed', more: true, floor: '1.1' });
    expect(seen.took).not.toBeNull();
    expect(seen.at - OPENS).toBeGreaterThanOrEqual(0);
    expect(seen.at - OPENS).toBeLessThan(MINUTE);
  });

  test('a dead clock waits and says so; a set clock lets it go on', async () => {
    const seen = await apart(() => {
      const world = device();
      world.wallOffsetMs = -world.time.now;
      publish(world, { ...PLAIN, web: 2 }, { windows: [WINDOW] });
      pass(world, { ms: 4 * HOUR });
      const held = { code: waits(world), applied: applied(world) };
      world.wallOffsetMs = OPENS + DAY - world.time.now;
      return { held, took: takes(world, '1.2', 30 * MINUTE) };
    });
    expect(seen.held).toEqual({ code: 'plan.window-unknown-time', applied: '1.1' });
    expect(seen.took).not.toBeNull();
  });

  test('urgent does not wait, nor does what changes nothing here', async () => {
    const seen = await apart(() => {
      const world = device();
      publish(world, PLAIN, { windows: [WINDOW] });
      const same = takes(world, '1.2', MINUTE);
      publish(world, { ...PLAIN, web: 2 }, { windows: [WINDOW], urgent: true });
      return { same, urgent: takes(world, '1.3', MINUTE) };
    });
    expect(seen.same).not.toBeNull();
    expect(seen.urgent).not.toBeNull();
  });

  test('a zone that this agent does not have is refused by name', async () => {
    const refused = await apart(() => {
      const world = device();
      const windows = [{ ...WINDOW, timeZone: 'Mars/Olympus' }];
      publish(world, { ...PLAIN, web: 2 }, { windows });
      pass(world, { ms: MINUTE });
      return channel(world)?.refused?.code;
    });
    expect(refused).toBe('plan.time-zone');
  });

  test('what waits survives the collection after another change', async () => {
    const took = await apart(() => {
      const world = device();
      publish(world, { ...PLAIN, web: 2, conf: 2 }, { windows: [WINDOW] });
      pass(world, { ms: MINUTE });
      world.network.part(true);
      world.running?.handlers.rollback(() => {}).catch(() => {});
      pass(world, { ms: 5 * MINUTE });
      world.running?.handlers.resume();
      return takes(world, '1.2', 3 * HOUR);
    });
    expect(took).not.toBeNull();
  });
});
