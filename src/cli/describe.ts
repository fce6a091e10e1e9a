/** `holdfast describe NOUN [NAME]`: all that the agent knows of one thing, with its events. */
import type { Command } from 'commander';
import type {
  ChannelView,
  EventsView,
  EventView,
  ExplainView,
  HistoryView,
  StatusView,
} from '#control/api.ts';
import { ask } from '#control/client.ts';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { CliContext } from './context.ts';
import { eventsText } from './events.ts';
import { EXIT, exitCodeOf } from './exit.ts';
import { explainText } from './explain.ts';
import { type LocalOptions, local, printed } from './local.ts';
import { type DeploymentRow, deploymentsOf, type Named, nounOf } from './nouns.ts';
import { complain, painter, pairs } from './render.ts';
import { statusText } from './status.ts';

/** the newest events of a thing */
const EVENTS = 12;
const HISTORY = '256';

type Described =
  | { readonly kind: 'device'; readonly status: StatusView; readonly events: readonly EventView[] }
  | {
      readonly kind: 'channel';
      readonly channel: ChannelView;
      readonly status: StatusView;
      readonly explain: ExplainView;
      readonly events: readonly EventView[];
    }
  | {
      readonly kind: 'deployment';
      readonly deployment: DeploymentRow;
      readonly events: readonly EventView[];
    }
  | { readonly kind: 'event'; readonly event: EventView }
  | { readonly kind: 'history'; readonly entry: HistoryView };

export function registerDescribe(program: Command, context: CliContext): void {
  local(program, 'describe', 'all that is known of one device, channel, deployment, event, change')
    .argument('<noun>', 'device, channel, deployment, event, history, or NOUN/NAME', nounOf)
    .argument('[name]', 'which; needed for a deployment; default: the only one, the newest')
    .action((named: Named, name: string | undefined, options: LocalOptions) =>
      describe(context, { noun: named.noun, name: name ?? named.name }, options),
    );
}

async function describe(context: CliContext, named: Named, options: LocalOptions): Promise<void> {
  const found = await find(context, named, options);
  if (!found.ok) {
    complain(context.terminal, found.fault);
    return context.exit(exitCodeOf(found.fault.code));
  }
  context.terminal.out(
    printed(options.output, found.value, {
      text: (what) => describedText(context, what),
      name: nameText,
    }),
  );
  context.exit(EXIT.done);
}

async function find(
  { platform }: CliContext,
  { noun, name }: Named,
  { runDir }: LocalOptions,
): Promise<Result<Described>> {
  const lost = () => refuse('control.not-found', { what: `${noun} ${name ?? ''}`.trim() });
  if (noun === 'history') {
    const query = { limit: HISTORY };
    const rows = await ask<readonly HistoryView[]>(platform.http, runDir, 'history', { query });
    if (!rows.ok) return rows;
    const entry = name === null ? rows.value[0] : rows.value.find((row) => row.number === name);
    return entry ? ok({ kind: 'history', entry }) : lost();
  }
  const told = await ask<EventsView>(platform.http, runDir, 'events', {});
  if (!told.ok) return told;
  const { events } = told.value;
  if (noun === 'event') {
    const event = name === null ? events.at(-1) : events.find(({ number }) => number === name);
    return event ? ok({ kind: 'event', event }) : lost();
  }
  const status = await ask<StatusView>(platform.http, runDir, 'status', {});
  if (!status.ok) return status;
  if (noun === 'device') {
    if (name !== null && name !== status.value.device.id) return lost();
    return ok({ kind: 'device', status: status.value, events: events.slice(-EVENTS) });
  }
  if (noun === 'deployment') {
    const all = deploymentsOf(status.value);
    const deployment = name === null ? onlyOf(all) : all.find(({ id }) => id === name);
    const own = events.filter((event) => event.deployment === deployment?.id).slice(-EVENTS);
    return deployment ? ok({ kind: 'deployment', deployment, events: own }) : lost();
  }
  const { channels } = status.value;
  const channel = name === null ? onlyOf(channels) : channels.find((one) => one.channel === name);
  if (!channel) return lost();
  // Of what is no longer followed, and of the device's own channel, the status has it all.
  const query = followed(channel) ? { channel: channel.channel } : {};
  const explain = await ask<ExplainView>(platform.http, runDir, 'explain', { query });
  if (!explain.ok) return explain;
  const own = events.filter((event) => event.channel === channel.channel).slice(-EVENTS);
  const beside = { status: status.value, explain: explain.value, events: own };
  return ok({ kind: 'channel', channel, ...beside });
}

function followed({ channel, waitingFor }: ChannelView): boolean {
  return !channel.startsWith('device.') && waitingFor?.code !== 'agent.orphaned';
}

function onlyOf<T>(list: readonly T[]): T | undefined {
  return list.length === 1 ? list[0] : undefined;
}

function nameText(what: Described): string {
  switch (what.kind) {
    case 'device':
      return `device/${what.status.device.id}\n`;
    case 'channel':
      return `channel/${what.channel.channel}\n`;
    case 'deployment':
      return `deployment/${what.deployment.id}\n`;
    case 'event':
      return `event/${what.event.code}\n`;
    case 'history':
      return `history/${what.entry.number}\n`;
  }
}

function describedText({ terminal, platform }: CliContext, what: Described): string {
  const style = { paint: painter(terminal), now: platform.clock.wallMs(), wide: true };
  const told = (events: readonly EventView[]) =>
    `\nEvents\n${events.length === 0 ? '  none\n' : eventsText(events, { ...style, wide: false })}`;
  switch (what.kind) {
    case 'device':
      return statusText(what.status, style) + told(what.events);
    case 'channel': {
      const { status, channel, explain, events } = what;
      const own = statusText({ ...status, channels: [channel] }, style);
      const why =
        explain.channel === channel.channel ? explainText(explain, style.paint, style.now) : '';
      return `${own}\n${why}${told(events)}`;
    }
    case 'deployment': {
      const { id, channel, digest, health, code, message, restarts } = what.deployment;
      const rows = pairs([
        ['deployment', style.paint.strong(id)],
        ['channel', channel],
        ['document', digest],
        ['health', health],
        ...(code === '' ? [] : [['code', code] as const]),
        ...(message === '' ? [] : [['message', message] as const]),
        ['restarts', `${restarts}`],
        ['log', `holdfast logs ${id}`],
      ]);
      return rows + told(what.events);
    }
    case 'event':
      return recordText(what.event);
    case 'history':
      return recordText(what.entry);
  }
}

function recordText(record: object): string {
  const rows = Object.entries(record).filter(([, value]) => value !== '' && value !== null);
  return pairs(
    rows.map(([name, value]) => [
      name,
      name === 'at' ? new Date(Number(value)).toISOString() : `${value}`,
    ]),
  );
}
