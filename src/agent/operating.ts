/**
 * What an operator decides on the device: look now, take this bundle, go back, pause, go on; for one
 * channel or for all that there are. What would be wrong to guess is asked for (`agent.which-channel`).
 */
import { faultView, type ProgressLine } from '#control/api.ts';
import { type Fault, fault, ok, type Result, refuse } from '#errors/fault.ts';
import { pointText } from '#state/point.ts';
import type { Assembled } from './assemble.ts';
import type { CycleEnd } from './cycle.ts';
import type { ChannelEnd } from './device-agent.ts';
import type { Follower } from './follow.ts';
import type { Line } from './line.ts';
import type { JobEnd } from './runner.ts';

/** `agent.not-followed`: there is no such channel here. */
export function lineNamed({ lines }: Assembled, channel: string): Result<Line> {
  const line = lines.find((one) => one.channel === channel);
  return line ? ok(line) : refuse('agent.not-followed', { channel, channels: namesOf(lines) });
}

/** The one that is named, or the only one that there is. */
export function onlyLine(assembled: Assembled, channel: string | null, what: string): Result<Line> {
  if (channel !== null) return lineNamed(assembled, channel);
  const [line, ...more] = assembled.lines;
  if (line && more.length === 0) return ok(line);
  return refuse('agent.which-channel', { what, channels: namesOf(assembled.lines) });
}

function namesOf(lines: readonly Line[]): string {
  return lines.map(({ channel }) => channel).join(', ');
}

/** Of the device, or of one channel, its own among them. */
export function pause(assembled: Assembled, reason: string, channel: string | null): Result<void> {
  if (channel === null) {
    const [first] = assembled.lines;
    return changed(assembled, first ? first.follower.pause(reason, 'device') : ok());
  }
  const one = followerNamed(assembled, channel);
  return changed(assembled, one.ok ? one.value.pause(reason, 'channel') : one);
}

/** Without a channel everything that an operator holds goes on: the device, and each of its channels. */
export function resume(assembled: Assembled, channel: string | null): Result<void> {
  const { lines, device, agent, command } = assembled;
  const named = channel === null ? null : followerNamed(assembled, channel);
  if (named && !named.ok) return named;
  const every = [...lines.map(({ follower }) => follower), device.follower];
  const followers = named ? [named.value] : every;
  for (const follower of followers) {
    const done = follower.resume(named ? 'channel' : 'device');
    if (!done.ok) return changed(assembled, done);
  }
  for (const { follower, drift, finder } of lines) {
    if (!followers.includes(follower)) continue;
    drift.reset();
    finder.forget();
  }
  void agent.resume().then(() => command.look());
  return changed(assembled, ok());
}

function followerNamed(assembled: Assembled, channel: string): Result<Follower> {
  const { device } = assembled;
  if (channel === device.follower.channel) return ok(device.follower);
  const line = lineNamed(assembled, channel);
  return line.ok ? ok(line.value.follower) : line;
}

function changed({ delivery }: Assembled, done: Result<void>): Result<void> {
  delivery?.changed('phase');
  return done;
}

export interface ApplyAsked {
  readonly bundle: string | null;
  /** neither spread nor window holds it up */
  readonly now: boolean;
}

export async function apply(
  assembled: Assembled,
  { bundle, now }: ApplyAsked,
  tell: (line: ProgressLine) => void,
): Promise<ProgressLine> {
  if (now && !assembled.config.applyNow) {
    return line('refused', null, null, fault('agent.now-not-allowed', {}));
  }
  const stop = assembled.progress.listen((what, done, total) =>
    tell({ kind: 'progress', phase: 'downloading', what, done, total }),
  );
  const { audit } = assembled.base;
  const message = [now ? 'now' : '', bundle ?? ''].join(' ').trim();
  const fact = { kind: 'apply-asked', actor: 'operator', message } as const;
  const takeBack = audit.ask(fact);
  try {
    const ends = await lookForAll(assembled, { bundle, now });
    const end = mostTelling(ends);
    if (bundle !== null) assembled.bundles.ended(bundle, end);
    // A poll by hand is a poll: it costs the flash nothing.
    if (bundle === null && (end.kind === 'unchanged' || end.kind === 'nothing')) takeBack();
    return linesOf(ends, end);
  } finally {
    audit.settle();
    // The head of the journal is in the signed status, also when nothing else is new.
    changed(assembled, ok());
    stop();
  }
}

/** In a bundle values first, so that a state beside them finds them. */
export async function lookForAll(
  { agent, device }: Pick<Assembled, 'agent' | 'device'>,
  { bundle, now }: ApplyAsked,
): Promise<readonly ChannelEnd[]> {
  const wake =
    bundle === null
      ? ({ kind: 'command', now } as const)
      : ({ kind: 'bundle', path: bundle, now } as const);
  const looking = device.look(wake, new AbortController().signal);
  if (wake.kind === 'bundle') await looking;
  const ends = await agent.look(wake);
  return [...ends, { channel: device.follower.channel, end: await looking }];
}

/** What is worth an exit code comes first; of two that are equal, the channel named first in agent.yaml. */
const TELLING: readonly CycleEnd['kind'][] = [
  'refused',
  'waiting',
  'applied',
  'superseded',
  'unreachable',
  'unchanged',
  'nothing',
];

/** @param ends  at least one; the device's own channel last: that it cannot be reached is no end */
export function mostTelling(ends: readonly ChannelEnd[]): CycleEnd {
  const told = ends.filter(({ end }, index) => {
    return index < ends.length - 1 || end.kind !== 'unreachable';
  });
  for (const kind of TELLING) {
    const found = told.find(({ end }) => end.kind === kind);
    if (found) return found.end;
  }
  return { kind: 'nothing', source: '' };
}

/** One line each where several channels had something to say. */
function linesOf(ends: readonly ChannelEnd[], end: CycleEnd): ProgressLine {
  const said = ends.filter((one) => one.end.kind !== 'nothing');
  const channels = said.map((one) => {
    const { result, offered, tookMs, fault } = endLine(one.end);
    return { channel: one.channel, result, offered, tookMs, fault };
  });
  return { ...endLine(end), ...(channels.length > 1 && { channels }) };
}

type EndLine = Extract<ProgressLine, { kind: 'end' }>;

function endLine(end: CycleEnd): EndLine {
  switch (end.kind) {
    case 'applied':
      return line('applied', pointText(end.point), end.tookMs, null);
    case 'unchanged':
    case 'nothing':
      return line(end.kind, null, null, null);
    case 'superseded':
      return line(end.kind, end.offered, null, null);
    case 'refused':
    case 'waiting':
      return line(end.kind, end.offered, null, end.fault);
    case 'unreachable':
      return line(end.kind, null, null, end.fault);
  }
}

function line(
  result: string,
  offered: string | null,
  tookMs: number | null,
  fault: Fault | null,
): EndLine {
  return { kind: 'end', result, offered, tookMs, fault: fault && faultView(fault) };
}

export async function rollback(
  assembled: Assembled,
  channel: string | null,
): Promise<ProgressLine> {
  const which = onlyLine(assembled, channel, 'a rollback');
  if (!which.ok) return line('refused', null, null, which.fault);
  const { follower, runner, finder } = which.value;
  const { context, base } = assembled;
  base.audit.ask({ kind: 'rollback-asked', actor: 'operator' });
  const end = await runner.run({
    point: null,
    manifestDigest: null,
    make: async () => follower.rollback(context),
  });
  base.audit.settle();
  changed(assembled, ok());
  finder.forget();
  return rollbackLine(end);
}

function rollbackLine(end: JobEnd): ProgressLine {
  if (end.kind === 'superseded') return line('superseded', null, null, null);
  if (end.kind === 'not-made') return line('refused', null, null, end.fault);
  const { outcome, change } = end;
  const offered = pointText(change.to);
  if (outcome.kind === 'applied') return line('rolled back to', offered, null, null);
  return line(outcome.kind, offered, null, 'fault' in outcome ? outcome.fault : null);
}
