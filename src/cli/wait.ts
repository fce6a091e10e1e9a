/**
 * `holdfast wait --for WHAT`: ends with 0 when it holds, with 1 and the reason when it does not in
 * time or cannot any more. For scripts, service units and CI.
 */
import { type Command, InvalidArgumentError } from 'commander';
import type { ChannelView, StatusView } from '#control/api.ts';
import { ask } from '#control/client.ts';
import { type Fault, fault } from '#errors/fault.ts';
import { comparePoints } from '#state/point.ts';
import { durationText, parseDuration } from '#state/quantity.ts';
import type { CliContext } from './context.ts';
import { EXIT, exitCodeOf } from './exit.ts';
import { type LocalOptions, local } from './local.ts';
import { complain } from './render.ts';

const EVERY_MS = 200;
const TIMEOUT = '5m';

export type Wanted =
  | { readonly kind: 'recovered' | 'idle' | 'healthy' | 'rolled-out' }
  | { readonly kind: 'applied'; readonly point: WantedPoint | null };

export interface WantedPoint {
  readonly epoch: bigint;
  readonly sequence: bigint;
}

/** Whether it holds; `never`: nothing but a newer state could make it. */
export type Held =
  | { readonly kind: 'yes' }
  | { readonly kind: 'not-yet' | 'never'; readonly reason: string };

interface Options extends LocalOptions {
  readonly for?: Wanted;
  readonly recovered?: true;
  readonly timeout: number;
  readonly quiet?: true;
  readonly channel?: string;
}

export function registerWait(program: Command, context: CliContext): void {
  local(program, 'wait', 'until this device is as it should be; 1 with the reason when it is not')
    .option('--for <what>', 'applied, applied=1.57 (or above), recovered, idle, healthy', wantedOf)
    .option('--recovered', 'the same as --for recovered')
    .option('--timeout <duration>', '0s: look once', timeoutOf, parseDuration(TIMEOUT) ?? 0)
    .option('-q, --quiet', 'print nothing when it holds')
    .option('--channel <name>', 'only this one; default: all that are followed')
    .action((options: Options, command: Command) => {
      const wanted = options.for ?? (options.recovered ? ({ kind: 'recovered' } as const) : null);
      if (!wanted) return command.error("error: name what to wait for: '--for idle'");
      return wait(context, options, wanted);
    });
}

async function wait(context: CliContext, options: Options, wanted: Wanted): Promise<void> {
  const { terminal } = context;
  const abort = new AbortController();
  const unsubscribe = context.onSignal('stop', () => abort.abort());
  const end = await until(context, options, { wanted, signal: abort.signal });
  unsubscribe();
  if (end === null) {
    if (options.quiet !== true) terminal.out(`${wantedText(wanted)}\n`);
    return context.exit(EXIT.done);
  }
  complain(terminal, end);
  context.exit(end.code.startsWith('control.wait') ? EXIT.differs : exitCodeOf(end.code));
}

/** `rollout status`: the newest accepted state is applied, then everything in it is healthy. */
export async function showRollout(
  context: CliContext,
  options: LocalOptions & { readonly timeout: number },
): Promise<void> {
  await wait(context, options, { kind: 'rolled-out' });
}

async function until(
  { platform }: CliContext,
  { runDir, timeout, channel }: Options,
  { wanted, signal }: { readonly wanted: Wanted; readonly signal: AbortSignal },
): Promise<Fault | null> {
  const startedAt = platform.clock.monotonicMs();
  const what = wantedText(wanted);
  for (;;) {
    const answer = await ask<StatusView>(platform.http, runDir, 'status', { signal });
    // An agent that still recovers has no sockets yet: as good as one that is not ready.
    if (!answer.ok && answer.fault.code !== 'control.no-agent') return answer.fault;
    const held: Held = answer.ok
      ? holds(answer.value, wanted, channel)
      : { kind: 'not-yet', reason: answer.fault.message };
    if (held.kind === 'yes') return null;
    if (held.kind === 'never') return fault('control.wait-hopeless', { what, ...held });
    const waited = platform.clock.monotonicMs() - startedAt;
    if (signal.aborted || waited >= timeout) {
      const after = durationText(Math.min(Math.round(waited / 1000) * 1000, timeout));
      return fault('control.wait-timeout', { what, after, ...held });
    }
    await platform.clock.sleep(Math.min(EVERY_MS, timeout - waited), signal);
  }
}

/** Pure: what the status says about what is waited for. */
export function holds(status: StatusView, wanted: Wanted, only?: string): Held {
  const { agent } = status;
  const channels = status.channels.filter(({ channel }) => only === undefined || channel === only);
  if (!agent.ready) return notYet('the agent recovers');
  if (wanted.kind === 'recovered') return { kind: 'yes' };
  if (only !== undefined && channels.length === 0)
    return notYet(`this device has no channel ${only}`);
  for (const channel of judgedOf(channels, wanted)) {
    const held = holdsOf(channel, wanted);
    if (held.kind !== 'yes') return held;
  }
  return { kind: 'yes' };
}

/** What is no longer followed does not change; a point counts on the device's own line only. */
function judgedOf(channels: readonly ChannelView[], wanted: Wanted): readonly ChannelView[] {
  const followed = channels.filter(({ waitingFor }) => waitingFor?.code !== 'agent.orphaned');
  return wanted.kind === 'applied' && wanted.point !== null
    ? followed.filter(({ channel }) => !channel.startsWith('device.'))
    : followed;
}

function holdsOf(channel: ChannelView, wanted: Wanted): Held {
  switch (wanted.kind) {
    case 'recovered':
      return { kind: 'yes' };
    case 'applied':
      return isApplied(channel, wanted.point);
    case 'idle':
      return isIdle(channel);
    case 'healthy':
      return isHealthy(channel);
    case 'rolled-out': {
      const applied = isApplied(channel, null);
      return applied.kind === 'yes' ? isHealthy(channel) : applied;
    }
  }
}

function isApplied(view: ChannelView, point: WantedPoint | null): Held {
  const { channel, applied, desired, refused } = view;
  const at = applied ? pointOf(applied.point) : null;
  const target = point ?? (desired ? pointOf(desired.point) : null);
  if (at && target && comparePoints(at, target) >= 0) return { kind: 'yes' };
  const now = `${channel}: ${applied?.point ?? 'nothing'} is applied`;
  const offered = refused?.offered ? pointOf(refused.offered) : null;
  if (refused && target && offered && comparePoints(offered, target) === 0) {
    return { kind: 'never', reason: `${now}; refused ${refused.code}: ${refused.message}` };
  }
  return notYet(`${now}${because(view)}`);
}

function isIdle(view: ChannelView): Held {
  return view.phase === 'idle'
    ? { kind: 'yes' }
    : notYet(`${view.channel} is ${view.phase}${because(view)}`);
}

function isHealthy(view: ChannelView): Held {
  const idle = isIdle(view);
  if (idle.kind !== 'yes') return idle;
  const ill = view.deployments.filter(({ health }) => health !== 'healthy');
  if (ill.length === 0 && !view.degraded) return { kind: 'yes' };
  const texts = ill.map(({ id, health, message }) => `${id} is ${health}: ${message}`);
  return notYet(texts.join('; ') || `${view.channel} is degraded`);
}

function because({ waitingFor, refused }: ChannelView): string {
  const why = waitingFor ?? refused;
  return why ? `; ${why.code}: ${why.message}` : '';
}

function notYet(reason: string): Held {
  return { kind: 'not-yet', reason };
}

function pointOf(text: string): WantedPoint {
  const [epoch = '0', sequence = '0'] = text.split('.');
  return { epoch: BigInt(epoch), sequence: BigInt(sequence) };
}

export function wantedText(wanted: Wanted): string {
  if (wanted.kind !== 'applied') return wanted.kind;
  return wanted.point ? `applied=${wanted.point.epoch}.${wanted.point.sequence}` : 'applied';
}

export function wantedOf(text: string): Wanted {
  if (text === 'recovered' || text === 'idle' || text === 'healthy') return { kind: text };
  if (text === 'applied') return { kind: 'applied', point: null };
  const match = /^applied=(\d{1,19}\.\d{1,19})$/.exec(text);
  if (match?.[1] !== undefined) return { kind: 'applied', point: pointOf(match[1]) };
  throw new InvalidArgumentError('applied, applied=EPOCH.SEQUENCE, recovered, idle or healthy');
}

export function timeoutOf(text: string): number {
  const ms = text === '0' ? 0 : parseDuration(text);
  if (ms === null) throw new InvalidArgumentError('a duration such as 30s, 5m or 1h');
  return ms;
}
