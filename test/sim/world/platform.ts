/**
 * The platform of one life of the agent: everything from outside, simulated. Timers belong to the
 * life and die with it.
 */
import { refuse } from '#errors/fault.ts';
import { systemInflate } from '#platform/node/inflate.ts';
import { systemX509 } from '#platform/node/x509.ts';
import type { Platform } from '#platform/platform.ts';
import type { Life } from './crash.ts';
import { simFiles } from './directory.ts';
import { simKeyFiles } from './keys.ts';
import type { World } from './shape.ts';

const inflate = systemInflate();

export function platformOf(world: World, life: Life): Platform {
  const { disk, processes, registry, broker, time, steps } = world;
  const { sockets, mqtt } = broker.platform(life);
  const after = (ms: number, call: () => void): (() => void) => {
    steps.alive();
    return time.after(ms, () => {
      if (life.dead) return;
      try {
        call();
      } catch (error) {
        world.threw(life, error);
      }
    });
  };
  const never = async () => refuse('link.unreachable', { peer: 'nobody', reason: 'not here' });
  return {
    clock: {
      wallMs: () => world.wallMs(),
      monotonicMs: () => time.now - world.bootedAt,
      bootMs: () => time.now - world.bootedAt,
      after,
      sleep: (ms, signal) =>
        new Promise((resolve) => {
          if (signal?.aborted) return resolve();
          const cancel = after(ms, resolve);
          signal?.addEventListener('abort', () => {
            cancel();
            resolve();
          });
        }),
    },
    random: world.dice.split(`agent ${life.pid}`),
    files: simFiles(disk),
    locks: {
      take(path) {
        steps.alive();
        const held = world.locks.get(path);
        if (held && !held.dead && held !== life) return { ok: true, value: null };
        world.locks.set(path, life);
        return { ok: true, value: { release: () => void world.locks.delete(path) } };
      },
    },
    processes: processes.platform(life),
    http: world.http?.(life) ?? registry.http(life),
    sockets,
    tunnels: { listen: never, throughProxy: never, webSocket: never },
    certificates: () => ({ ok: true, value: [] }),
    x509: systemX509(),
    mqtt,
    mqttListener: { listen: never },
    inflate,
    listener: { listen: never },
    keyFiles: simKeyFiles(`device-${nameOf(world, life)}`),
    memory: { release: () => {} },
    log: { write: (level, event, fields) => world.log(level, event, fields ?? {}) },
  };
}

/** Of a key that this life of the agent may make: no other life, and no branch, makes the same. */
function nameOf({ dice }: World, { pid }: Life): string {
  return Buffer.from(dice.split(`key ${pid}`).bytes(6)).toString('hex');
}
