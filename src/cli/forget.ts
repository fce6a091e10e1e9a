/**
 * `holdfast forget [CHANNEL]`: what a channel left here that this device no longer follows. Without a
 * name it lists them; with one it asks, then takes all of it out of force.
 */
import type { Command } from 'commander';
import type { ChannelView, ForgottenView, StatusView } from '#control/api.ts';
import { ask } from '#control/client.ts';
import { type Fault, fault } from '#errors/fault.ts';
import type { CliContext } from './context.ts';
import { EXIT, exitCodeOf } from './exit.ts';
import { type LocalOptions, local, printed, show } from './local.ts';
import { columns, complain, painter } from './render.ts';

const ORPHANED = 'agent.orphaned';

interface Options extends LocalOptions {
  readonly yes?: true;
}

export function registerForget(program: Command, context: CliContext): void {
  local(program, 'forget', 'takes away what a channel left here that is no longer followed')
    .argument('[channel]', 'which; without it: those that there are')
    .option('-y, --yes', 'does not ask')
    .action((channel: string | undefined, options: Options) => forget(context, channel, options));
}

async function forget(
  context: CliContext,
  channel: string | undefined,
  options: Options,
): Promise<void> {
  const { platform, terminal } = context;
  const status = await ask<StatusView>(platform.http, options.runDir, 'status', {});
  if (!status.ok) return fail(context, status.fault);
  const orphans = status.value.channels.filter(({ waitingFor }) => waitingFor?.code === ORPHANED);
  if (channel === undefined) {
    terminal.out(printed(options.output, orphans, { text: listText, name: namesText }));
    return context.exit(EXIT.done);
  }
  const found = orphans.find((one) => one.channel === channel);
  if (!found) {
    const known = orphans.map((one) => one.channel).join(', ') || 'none';
    return fail(context, fault('agent.not-orphaned', { channel, known }));
  }
  if (!(await confirmed(context, found, options.yes === true))) {
    return fail(context, fault('control.not-confirmed', { what: `forgetting ${channel}` }));
  }
  const asked = { body: { channel } };
  await show<ForgottenView>(context, options, 'forget', {
    asked,
    text: ({ removed }) =>
      `${channel} is forgotten; taken away: ${removed.join(', ') || 'nothing'}\n`,
    name: (view) => `channel/${view.channel}\n`,
  });
}

async function confirmed(
  { terminal }: CliContext,
  { channel, deployments }: ChannelView,
  yes: boolean,
): Promise<boolean> {
  const paint = painter(terminal);
  const list = deployments
    .map(({ id, health }) => `  ${paint.bad('-')} ${id} (${health})\n`)
    .join('');
  terminal.err(`${channel} left ${deployments.length} deployments here:\n${list}`);
  if (yes) return true;
  const answer = await terminal.ask('Stop its programs and take its files away? [y/N] ');
  return /^y(es)?$/i.test(answer?.trim() ?? '');
}

function fail({ terminal, exit }: CliContext, why: Fault): void {
  complain(terminal, why);
  exit(exitCodeOf(why.code));
}

function listText(orphans: readonly ChannelView[]): string {
  if (orphans.length === 0) return 'Every channel that left something here is followed.\n';
  return columns(
    ['CHANNEL', 'APPLIED', 'DEPLOYMENTS'],
    orphans.map(({ channel, applied, deployments }) => [
      channel,
      applied?.point ?? '–',
      deployments.map(({ id }) => id).join(' '),
    ]),
  );
}

function namesText(orphans: readonly ChannelView[]): string {
  return orphans.map(({ channel }) => `channel/${channel}\n`).join('');
}
