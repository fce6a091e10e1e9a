/**
 * The channels of a device as one agent. Start: what a cut left open is ended, channel by channel;
 * then what is in force of each runs, and what channels left here that are no longer followed; then
 * the device is ready. After that each channel has its own loop (agent.ts): a channel that waits,
 * fails or is held never keeps another one from going on. What ends one loop by a broken assumption
 * ends them all.
 */

import { recoverLeft } from '#apply/left.ts';
import { isFollowed, orphansOf } from '#apply/orphans.ts';
import { generationsOf } from '#apply/recover.ts';
import { type ApplyContext, doStep } from '#apply/transaction.ts';
import { ok, type Result } from '#errors/fault.ts';
import { runsPrograms } from '#state/compose.ts';
import type { Wake } from '#triggers/trigger.ts';
import type { CycleEnd } from './cycle.ts';
import type { Agent } from './loop-parts.ts';

export interface ChannelAgent {
  readonly channel: string;
  readonly agent: Agent;
}

export interface ChannelEnd {
  readonly channel: string;
  readonly end: CycleEnd;
}

export interface DeviceAgentInput {
  readonly context: ApplyContext;
  /** in the order of agent.yaml; at least one */
  readonly channels: readonly ChannelAgent[];
  /** Everything is recovered and runs: systemd, `wait --recovered`. */
  ready(): void;
  changed(): void;
}

export interface DeviceAgent {
  start(): Promise<Result<void>>;
  /** Until `signal` aborts. Rejects on a broken assumption. */
  run(signal: AbortSignal): Promise<void>;
  /** One look of every channel now; resolves when what follows has ended, in the order of agent.yaml. */
  look(wake: Wake): Promise<readonly ChannelEnd[]>;
  /** States on disk that are accepted and not applied go on. */
  resume(): Promise<void>;
  /** Other values of this device are in force: what names them follows. */
  valuesChanged(): Promise<void>;
  /** Programs are about to be stopped: resolves when none is started any more (loop-parts.ts). */
  leaveAlone(): Promise<void>;
}

export function deviceAgent(input: DeviceAgentInput): DeviceAgent {
  const { channels } = input;
  const each = async (work: (agent: Agent) => Promise<unknown>): Promise<void> => {
    await Promise.all(channels.map(({ agent }) => work(agent)));
  };
  return {
    start: () => start(input),
    run: (signal) => run(channels, signal),
    look: (wake) =>
      wake.kind === 'bundle' ? lookInBundle(channels, wake) : lookAll(channels, wake),
    resume: () => each((agent) => agent.resume()),
    valuesChanged: () => each((agent) => agent.valuesChanged()),
    leaveAlone: () => each((agent) => agent.leaveAlone()),
  };
}

async function start({
  context,
  channels,
  ready,
  changed,
}: DeviceAgentInput): Promise<Result<void>> {
  for (const { agent } of channels) {
    const recovered = await agent.recover();
    if (!recovered.ok) return recovered;
  }
  await recoverLeft(context);
  for (const { agent } of channels) {
    const begun = await agent.bringIntoForce();
    if (!begun.ok) return begun;
  }
  await startLeft(context);
  ready();
  changed();
  for (const { agent } of channels) agent.proveOn();
  return ok();
}

/** Programs of channels that are no longer followed: they run until a state or the operator says otherwise. */
async function startLeft(context: ApplyContext): Promise<void> {
  const proving = beingTakenOver(context);
  for (const { generations } of orphansOf(context, context.followed)) {
    for (const generation of generations) {
      if (proving.has(generation.id)) continue;
      if (!runsPrograms(generation.deployment)) continue;
      const step = { kind: 'activate', next: generation, previous: generation } as const;
      const done = await doStep(context, step);
      if (done.ok) continue;
      const { code, message } = done.fault;
      context.log.write('error', 'start.failed', { deployment: generation.id, code, message });
    }
  }
}

/** A state that is being proven has these in force already: what was left comes back by its undo only. */
function beingTakenOver(context: ApplyContext): ReadonlySet<string> {
  const rows = context.store.channels();
  const open = (rows.ok ? rows.value : []).filter(
    (row) => row.intent?.phase === 'proving' && isFollowed(context.followed, row),
  );
  const generations = open.map((row) =>
    generationsOf(context, row, row.intent?.to.stateDigest ?? null),
  );
  return new Set(generations.flatMap((found) => (found.ok ? found.value.map(({ id }) => id) : [])));
}

async function run(channels: readonly ChannelAgent[], signal: AbortSignal): Promise<void> {
  const stopping = new AbortController();
  const stop = (): void => stopping.abort();
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  const runs = channels.map(({ agent }) => agent.run(stopping.signal));
  try {
    await Promise.all(runs);
  } finally {
    stop();
    signal.removeEventListener('abort', stop);
    await Promise.allSettled(runs);
  }
}

function lookAll(channels: readonly ChannelAgent[], wake: Wake): Promise<readonly ChannelEnd[]> {
  return Promise.all(
    channels.map(async ({ channel, agent }) => ({ channel, end: await agent.look(wake) })),
  );
}

/** The first channel last: it knows then whether the bundle is anybody's (own-bundles.ts). */
async function lookInBundle(
  channels: readonly ChannelAgent[],
  wake: Wake,
): Promise<readonly ChannelEnd[]> {
  const [first, ...others] = channels;
  const ends: Promise<ChannelEnd>[] = [];
  for (const { channel, agent } of others) {
    const { found, ended } = agent.glance(wake);
    await found;
    ends.push(ended.then((end) => ({ channel, end })));
  }
  if (first) ends.unshift(first.agent.look(wake).then((end) => ({ channel: first.channel, end })));
  return Promise.all(ends);
}
