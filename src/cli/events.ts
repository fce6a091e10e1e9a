/** `holdfast events`: what happened on this device, oldest first; `-w` goes on as it happens. */
import { type Command, InvalidArgumentError } from 'commander';
import type { EventsView, EventView } from '#control/api.ts';
import { ask } from '#control/client.ts';
import { parseDuration } from '#state/quantity.ts';
import type { CliContext } from './context.ts';
import { EXIT, exitCodeOf } from './exit.ts';
import { type LocalOptions, local, printed } from './local.ts';
import { ago, columns, complain, type Format, type Painter, painter } from './render.ts';
import { watch } from './watch.ts';

export interface EventOptions extends LocalOptions {
  readonly watch?: true;
  /** ms */
  readonly since?: number;
  readonly for?: string;
}

export function registerEvents(program: Command, context: CliContext): void {
  eventOptions(local(program, 'events', 'what happened on this device; newest last')).action(
    (options: EventOptions) => showEvents(context, options),
  );
}

export function eventOptions(command: Command): Command {
  return command
    .option('-w, --watch', 'go on as it happens')
    .option('--since <duration>', 'not older than this: 30m, 1h, 2d', since)
    .option('--for <name>', 'of this deployment or channel only');
}

export async function showEvents(context: CliContext, options: EventOptions): Promise<void> {
  if (options.watch === true) return follow(context, options);
  const answer = await ask<EventsView>(context.platform.http, options.runDir, 'events', {});
  if (!answer.ok) {
    complain(context.terminal, answer.fault);
    return context.exit(exitCodeOf(answer.fault.code));
  }
  const rows = chosen(context, options, answer.value.events);
  context.terminal.out(
    printed(options.output, rows, {
      text: (list) => eventsText(list, style(context, options.output)),
      name: (list) => list.map(({ code }) => `event/${code}\n`).join(''),
    }),
  );
  context.exit(EXIT.done);
}

function follow(context: CliContext, options: EventOptions): Promise<void> {
  let after = '0';
  let head = true;
  return watch<EventsView>(context, {
    runDir: options.runDir,
    route: 'events',
    asked: () => ({ query: { after } }),
    seen({ last, events }) {
      after = last;
      const rows = chosen(context, options, events);
      if (rows.length === 0) return;
      const text = linesOf(rows, context, options.output);
      context.terminal.out(head || options.output !== 'text' ? text : bare(text));
      head = false;
    },
  });
}

/** One JSON value a line while it goes on: what reads it need not wait for an end. */
function linesOf(rows: readonly EventView[], context: CliContext, output: Format): string {
  if (output === 'json') return rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  if (output === 'yaml') return rows.map((row) => `---\n${printed(output, row, NONE)}`).join('');
  if (output === 'name') return rows.map(({ code }) => `event/${code}\n`).join('');
  return eventsText(rows, style(context, output));
}

const NONE = { text: () => '', name: () => '' };

function bare(text: string): string {
  return text.slice(text.indexOf('\n') + 1);
}

function chosen(
  { platform }: CliContext,
  { since: sinceMs, for: name }: EventOptions,
  events: readonly EventView[],
): readonly EventView[] {
  const from = sinceMs === undefined ? 0 : platform.clock.wallMs() - sinceMs;
  return events.filter(
    ({ at, channel, deployment }) =>
      at >= from && (name === undefined || channel === name || deployment === name),
  );
}

interface Style {
  readonly paint: Painter;
  readonly now: number;
  readonly wide: boolean;
}

function style({ terminal, platform }: CliContext, output: Format): Style {
  return { paint: painter(terminal), now: platform.clock.wallMs(), wide: output === 'wide' };
}

/** Codes of these beginnings are how things should go; all others are worth a look. */
const GOOD = /^(agent\.started|agent\.resumed|state\.(applied|accepted)|deployment\.healthy)$/;

export function eventsText(events: readonly EventView[], { paint, now, wide }: Style): string {
  if (events.length === 0) return 'Nothing has happened.\n';
  const rows = events.map(({ number, at, code, channel, deployment, message }) => [
    ...(wide ? [number === '' ? '–' : number, new Date(at).toISOString()] : [ago(now, at)]),
    GOOD.test(code) ? code : paint.warn(code),
    deployment === '' ? (channel === '' ? '–' : channel) : deployment,
    message,
  ]);
  const head = wide ? ['#', 'WHEN', 'EVENT', 'OF', 'MESSAGE'] : ['WHEN', 'EVENT', 'OF', 'MESSAGE'];
  return columns(head, rows);
}

export function since(text: string): number {
  const ms = parseDuration(text);
  if (ms === null || ms === 0) throw new InvalidArgumentError('a duration such as 30m, 1h or 2d');
  return ms;
}
