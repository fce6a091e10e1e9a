/**
 * The channels of a device, put together (line.ts): who takes a turn, who looks through a bundle first,
 * what happens to all of them when something happens to one.
 */
import type { ApplyContext } from '#apply/transaction.ts';
import type { Generation } from '#state/generation.ts';
import { collect } from './collect.ts';
import { type DeviceAgent, deviceAgent } from './device-agent.ts';
import type { DeviceChannel } from './device-channel.ts';
import type { Finder } from './find.ts';
import type { Follower } from './follow.ts';
import { type Common, type Line, openLine } from './line.ts';
import { MARGO_CHANNEL } from './margo-state.ts';
import { type BundleReader, withOtherBundles, withoutForeign } from './own-bundles.ts';
import { type Progress, progressOf } from './progress.ts';
import { quiet } from './quiet.ts';
import type { Timekeeping } from './timekeeping.ts';
import { type Turns, turns } from './turns.ts';
import type { LineTriggers } from './waking.ts';
import type { Given } from './wires.ts';

interface LinesInput {
  readonly context: ApplyContext;
  readonly waking: ReadonlyMap<Follower, LineTriggers>;
  readonly timekeeping: Timekeeping;
  readonly device: DeviceChannel;
}

/** What a device has of its channels together. */
export interface Lines {
  readonly agent: DeviceAgent;
  /** the channels, in the order of agent.yaml; at least one */
  readonly lines: readonly Line[];
  readonly turns: Turns;
  readonly progress: Progress;
  /** a change is under way */
  busy(): boolean;
  /** Until nothing is under way any more. */
  idle(): Promise<void>;
  isReady(): boolean;
}

export function openLines(given: Given, input: LinesInput): Lines {
  const { base, platform, config, links, program, wires } = given;
  const { context, waking, timekeeping, device } = input;
  const { lines } = wires;
  const every = (): readonly Line[] => [...lines.values()];
  const taking = turns();
  const progress = progressOf();
  const busy = (): boolean => taking.holder() !== null || every().some(({ runner }) => runner.busy);
  const stir = quiet(platform.clock, platform.memory, busy);
  wires.rootReplaced = () => {
    wires.changed('phase');
    links.rootReplaced((wake) => every().map(({ gate }) => gate.wake(wake)));
    timekeeping.rootReplaced();
    device.takes({ kind: 'reconnect' });
  };
  const common: Common = {
    ...{ base, platform, config, links, context, timekeeping, device, turns: taking, busy },
    program,
    changed: (what) => wires.changed(what),
    progress: progress.tell,
    rootReplaced: () => wires.rootReplaced(),
    collect: () => collectNow(context, every()),
    watchHealth: watching(given),
    looked(channel, end) {
      timekeeping.looked(channel, end);
      // What waits for the owner's window is told as pending.
      if (channel === MARGO_CHANNEL) wires.margo?.note();
      if (end.kind === 'applied' || end.kind === 'refused') stir();
      if (end.kind === 'applied') lookAgain(every(), channel);
    },
    margo: () => wires.margo ?? null,
    aroundBundles: (channel, finder) => aroundBundles(given, device, { channel, finder }),
  };
  for (const settings of config.channels) {
    const following = wires.followers.get(settings.name);
    const triggers = following && waking.get(following);
    if (!following || !triggers) continue;
    lines.set(settings.name, openLine(common, { settings, follower: following, triggers }));
  }
  let ready = false;
  const agent = deviceAgent({
    context,
    channels: every(),
    ready() {
      ready = true;
      program.ready();
      stir();
    },
    changed: () => wires.changed('phase'),
  });
  const idle = async (): Promise<void> => {
    for (const { runner } of every()) await runner.idle();
  };
  const isReady = (): boolean => ready;
  return { agent, lines: every(), turns: taking, progress, isReady, busy, idle };
}

/** What another channel refused because this one had it may be free now. */
export function lookAgain(
  lines: readonly Pick<Line, 'channel' | 'follower' | 'finder' | 'gate'>[],
  applied: string,
): void {
  for (const { channel, follower: following, finder, gate } of lines) {
    if (channel === applied || following.refusal()?.code !== 'plan.conflict') continue;
    finder.forget();
    gate.wake({ kind: 'schedule' });
  }
}

/** One monitor for all programs: it is told what is in force of every channel. */
function watching({ runtimes }: Given): Common['watchHealth'] {
  const inForce = new Map<string, readonly Generation[]>();
  return (channel, current) => {
    inForce.set(channel, current);
    runtimes.monitor.watch([...inForce.values()].flat());
  };
}

/** The first channel looks through a bundle after all others (own-bundles.ts). */
function aroundBundles(
  { config, wires }: Given,
  device: DeviceChannel,
  { channel, finder }: { readonly channel: string; readonly finder: Finder },
): Finder {
  const [first, ...others] = config.channels;
  if (channel !== first?.name) return withoutForeign(finder);
  const readers = others.map(
    ({ name }): BundleReader => ({
      async look(path) {
        const glance = wires.lines.get(name)?.agent.glance({ kind: 'bundle', path });
        const found = (await glance?.found) ?? null;
        return found !== null && found.kind !== 'nothing';
      },
    }),
  );
  const own: BundleReader = {
    look: async (path, signal) =>
      (await device.look({ kind: 'bundle', path }, signal)).kind !== 'nothing',
  };
  return withOtherBundles(finder, [own, ...readers]);
}

async function collectNow(context: ApplyContext, lines: readonly Line[]): Promise<void> {
  const done = await collect(
    context,
    lines.map(({ follower: following }) => following.row()),
  );
  if (!done.ok) context.log.write('warn', 'collect.failed', { code: done.fault.code });
}
