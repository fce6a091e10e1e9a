/** `holdfast get NOUN [NAME]`: one row each, as kubectl prints them. `describe.ts` tells all of one. */
import type { Command } from 'commander';
import type { ChannelView, HistoryView, StatusView } from '#control/api.ts';
import { ask } from '#control/client.ts';
import { fault } from '#errors/fault.ts';
import type { CliContext } from './context.ts';
import { eventOptions, showEvents } from './events.ts';
import { EXIT, exitCodeOf } from './exit.ts';
import { historyText, positive } from './history.ts';
import { type LocalOptions, local, printed } from './local.ts';
import {
  type DeploymentRow,
  deploymentsOf,
  type Named,
  NOUN_NAMES,
  nounOf,
  parseSelector,
  type Selector,
  selects,
} from './nouns.ts';
import { ago, columns, complain, type Painter, painter, shortDigest } from './render.ts';
import { watch, whenChanged, withoutAges } from './watch.ts';

export interface GetOptions extends LocalOptions {
  readonly watch?: true;
  readonly since?: number;
  readonly for?: string;
  readonly selector?: Selector;
  readonly limit: number;
}

export function registerGet(program: Command, context: CliContext): void {
  eventOptions(
    local(program, 'get', 'one row each: device, channels, deployments, events, history'),
  )
    .argument('<noun>', `${NOUN_NAMES.join(', ')}, or NOUN/NAME`, nounOf)
    .argument('[name]', 'one of them')
    .option('-l, --selector <labels>', 'device: only where its labels are so', parseSelector)
    .option('-n, --limit <count>', 'history: how many', positive, 20)
    .action((named: Named, name: string | undefined, options: GetOptions) =>
      get(context, { noun: named.noun, name: name ?? named.name }, options),
    );
}

function get(context: CliContext, { noun, name }: Named, options: GetOptions): Promise<void> {
  switch (noun) {
    case 'event':
      return showEvents(context, name === null ? options : { ...options, for: name });
    case 'history':
      return rows<readonly HistoryView[], HistoryView>(context, options, {
        route: 'history',
        query: { limit: `${options.limit}` },
        of: (all) => all.filter(({ number }) => name === null || number === name),
        ...{ missing: one(noun, name), id: ({ number }) => `history/${number}` },
        text: (list, style) => historyText(list, style.paint, style.now),
      });
    case 'device':
      return rows<StatusView, StatusView>(context, options, {
        route: 'status',
        of: (view) => (isWanted(view, name, options.selector) ? [view] : []),
        missing: `device ${name ?? 'with these labels'}`,
        id: ({ device }) => `device/${device.id}`,
        text: devicesText,
      });
    case 'channel':
      return rows<StatusView, ChannelView>(context, options, {
        route: 'status',
        of: ({ channels }) => channels.filter(({ channel }) => name === null || channel === name),
        ...{ missing: one(noun, name), id: ({ channel }) => `channel/${channel}` },
        text: channelsText,
      });
    case 'deployment':
      return rows<StatusView, DeploymentRow>(context, options, {
        route: 'status',
        of: (view) => deploymentsOf(view).filter(({ id }) => name === null || id === name),
        ...{ missing: one(noun, name), id: ({ id }) => `deployment/${id}` },
        text: deploymentsText,
      });
  }
}

function one(noun: string, name: string | null): string | null {
  return name === null ? null : `${noun} ${name}`;
}

interface Style {
  readonly paint: Painter;
  readonly now: number;
  readonly wide: boolean;
}

interface Table<View, Row> {
  readonly route: 'status' | 'history';
  readonly query?: Readonly<Record<string, string>>;
  of(view: View): readonly Row[];
  /** what there is none of, where one was named; null: an empty list is an answer */
  readonly missing: string | null;
  id(row: Row): string;
  text(list: readonly Row[], style: Style): string;
}

async function rows<View, Row>(
  context: CliContext,
  options: GetOptions,
  table: Table<View, Row>,
): Promise<void> {
  const { platform, terminal } = context;
  const print = (list: readonly Row[]) =>
    terminal.out(
      printed<readonly Row[]>(options.output, list, {
        text: (some) => table.text(some, styleOf(context, options)),
        name: (some) => some.map((row) => `${table.id(row)}\n`).join(''),
      }),
    );
  const asked = { query: table.query ?? {} };
  if (options.watch === true) {
    const seen = whenChanged(print, (list) => withoutAges(list));
    const { runDir } = options;
    const watched = { runDir, route: table.route, asked: () => asked };
    return watch<View>(context, { ...watched, seen: (view) => seen(table.of(view)) });
  }
  const answer = await ask<View>(platform.http, options.runDir, table.route, asked);
  const list = answer.ok ? table.of(answer.value) : [];
  const why = !answer.ok
    ? answer.fault
    : list.length === 0 && table.missing !== null
      ? fault('control.not-found', { what: table.missing })
      : null;
  if (why) {
    complain(terminal, why);
    return context.exit(exitCodeOf(why.code));
  }
  print(list);
  context.exit(EXIT.done);
}

function styleOf({ terminal, platform }: CliContext, { output }: GetOptions): Style {
  return { paint: painter(terminal), now: platform.clock.wallMs(), wide: output === 'wide' };
}

function isWanted({ device }: StatusView, name: string | null, selector?: Selector): boolean {
  return (name === null || device.id === name) && selects(selector ?? [], device.labels);
}

function devicesText(list: readonly StatusView[], { wide }: Style): string {
  return columns(
    ['DEVICE', 'AGENT', 'READY', 'CHANNELS', 'MQTT', 'TIME', ...(wide ? ['FLEET', 'LABELS'] : [])],
    list.map(({ device, agent, channels, mqtt }) => [
      device.id,
      agent.version,
      agent.ready ? 'yes' : 'no',
      channels.map(({ channel }) => channel).join(','),
      mqtt?.state ?? '–',
      device.timeGrade,
      ...(wide ? [device.fleet, labelsText(device.labels)] : []),
    ]),
  );
}

function labelsText(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  return pairs.join(',') || '–';
}

function channelsText(list: readonly ChannelView[], { paint, now, wide }: Style): string {
  return columns(
    ['CHANNEL', 'APPLIED', 'DESIRED', 'PHASE', 'READY', 'AGE', '', ...(wide ? ['DIGEST'] : [])],
    list.map((view) => [
      view.channel,
      view.applied?.point ?? '–',
      view.desired?.point ?? '–',
      view.phase === 'idle' ? view.phase : paint.warn(view.phase),
      `${view.deployments.filter(({ health }) => health === 'healthy').length}/${view.deployments.length}`,
      view.applied ? ago(now, view.applied.at) : '–',
      channelReason(view),
      ...(wide ? [view.applied?.stateDigest ?? ''] : []),
    ]),
  );
}

function channelReason(view: ChannelView): string {
  if (view.paused) return 'paused';
  if (view.heldByOperator) return 'held by the operator';
  const why = view.waitingFor ?? view.refused;
  return why ? why.code : view.degraded ? 'degraded' : '';
}

function deploymentsText(list: readonly DeploymentRow[], { paint, wide }: Style): string {
  if (list.length === 0) return 'No deployments.\n';
  return columns(
    ['DEPLOYMENT', 'CHANNEL', 'HEALTH', 'RESTARTS', 'DIGEST', ''],
    list.map(({ id, channel, health, restarts, digest, message }) => [
      id,
      channel,
      health === 'healthy' ? paint.good(health) : paint.bad(health),
      `${restarts}`,
      wide ? digest : shortDigest(digest),
      message,
    ]),
  );
}
