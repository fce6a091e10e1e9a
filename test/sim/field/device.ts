/** The device of the field: its agent.yaml, and what is seen of it and of what it says. */
import type { FieldSeen } from '../model/field.ts';
import type { FieldTold } from '../model/field-told.ts';
import type { Numbered } from '../model/model.ts';
import { seenOn } from '../model/seen.ts';
import type { World } from '../world/shape.ts';
import { ROOT_FILE, RUN_DIR, STATE_DIR, USB } from '../world/world.ts';
import { TOLD } from './cargo.ts';
import { type Channel, DEVICE, OWN } from './desk.ts';
import { FIRST_PORT } from './mirrors.ts';

export interface Setup {
  readonly channels: readonly Channel[];
  readonly mirrors: number;
  readonly consent: 'policy' | 'ask';
}

/** Where each channel may write; `site` also where it has nothing to look for without asking. */
const ROOTS: Readonly<Record<string, readonly string[]>> = {
  oem: ['/opt/machine'],
  canary: ['/opt/line'],
  stable: ['/opt/line'],
  site: ['/opt/site', '/opt/line'],
};

export function configText({ channels, mirrors, consent }: Setup): string {
  return JSON.stringify({
    ...{ apiVersion: 'holdfast/v1', kind: 'Agent', device: { id: DEVICE } },
    ...{ stateDir: STATE_DIR, runDir: RUN_DIR, trust: { root: ROOT_FILE } },
    channels: channels.map((name) => ({ name, allow: { roots: ROOTS[name] ?? [] } })),
    registries: Array.from({ length: mirrors }, (_, index) => ({
      url: `http://127.0.0.1:${FIRST_PORT + index}/plant/state`,
    })),
    mqtt: { url: 'mqtt://127.0.0.1:1883' },
    bundles: { watch: [USB], consent },
    runtimes: { process: { allowRoot: true } },
    nudges: { perMinute: 60 },
    keep: { reserve: '64Ki', generations: 2 },
  });
}

const IN_FORCE: ReadonlySet<string> = new Set(['applied', 'rolled-back']);
const HISTORY_ROWS = 60;

/** Null: no agent answers. */
export function seenInField(world: World): FieldSeen | null {
  const handlers = world.running?.handlers;
  const status = handlers?.status();
  const history = handlers?.history(HISTORY_ROWS);
  if (!status?.ok || !history?.ok) return null;
  const living = [...world.processes.living.values()].filter(({ agent }) => !agent);
  const programs = living.map(({ behaviour, env }) => ({
    version: env.SERIAL === undefined ? behaviour.version : `${behaviour.version}${TOLD}`,
    mayBeDown: behaviour.exitsAfterMs !== undefined,
    agent: false,
  }));
  const opt = seenOn(world.disk.root, '/opt', programs);
  const srv = seenOn(world.disk.root, '/srv', []);
  return {
    files: new Map([...opt.files, ...srv.files]),
    programs,
    serials: living.flatMap(({ env }) => env.SERIAL ?? []),
    told: status.value.channels.flatMap((channel) => toldOf(channel)),
    history: history.value
      .map(({ number, channel, outcome, point }) => ({
        ...{ number: BigInt(number), channel, point: point ?? '' },
        inForce: IN_FORCE.has(outcome),
      }))
      .sort((a, b) => (a.number < b.number ? -1 : 1)),
    rootVersion: BigInt(status.value.device.rootVersion),
    now: world.time.now,
  };
}

type View = Extract<
  ReturnType<NonNullable<World['running']>['handlers']['status']>,
  { ok: true }
>['value']['channels'][number];

function toldOf(view: View): readonly FieldTold[] {
  const { channel, desired, applied, phase, paused, heldByOperator: held, waitingFor } = view;
  if (channel === OWN) return [];
  const point = (of: typeof desired): Numbered | null =>
    of && { epoch: BigInt(of.epoch), sequence: BigInt(of.sequence), digest: of.stateDigest };
  const orphaned = waitingFor?.code === 'agent.orphaned';
  return [
    { channel, floor: point(desired), applied: point(applied), phase, paused, held, orphaned },
  ];
}
