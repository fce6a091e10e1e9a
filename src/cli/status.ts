/** `holdfast status`: what is desired, what runs, how it is, and what the agent waits for. */
import type { Command } from 'commander';
import type { ChannelView, FaultView, StatusView } from '#control/api.ts';
import type { CliContext } from './context.ts';
import { type LocalOptions, local, printed, show } from './local.ts';
import { ago, columns, type Painter, painter, pairs, shortDigest } from './render.ts';
import { watch, whenChanged, withoutAges } from './watch.ts';

export function registerStatus(program: Command, context: CliContext): void {
  local(program, 'status', 'what is desired, what runs, and how it is')
    .option('-w, --watch', 'again whenever it changes')
    .action(async (options: LocalOptions & { readonly watch?: true }) => {
      const paint = painter(context.terminal);
      const print = {
        text: (view: StatusView) => {
          const now = context.platform.clock.wallMs();
          return statusText(view, { paint, now, wide: options.output === 'wide' });
        },
        name: (view: StatusView) =>
          view.channels
            .flatMap(({ deployments }) => deployments.map(({ id }) => `deployment/${id}\n`))
            .join(''),
      };
      if (options.watch === true) await again(context, options, print);
      else await show<StatusView>(context, options, 'status', print);
    });
}

function again(
  context: CliContext,
  { runDir, output }: LocalOptions,
  print: { text(view: StatusView): string; name(view: StatusView): string },
): Promise<void> {
  let first = true;
  const seen = whenChanged((view: StatusView) => {
    context.terminal.out((first || output !== 'text' ? '' : '\n') + printed(output, view, print));
    first = false;
  }, withoutAges);
  return watch<StatusView>(context, { runDir, route: 'status', asked: () => ({}), seen });
}

interface Style {
  readonly paint: Painter;
  readonly now: number;
  readonly wide: boolean;
}

/** Said only where a state has a part in it. */
function configurationLines(
  from: StatusView['agent']['configuration'],
): readonly (readonly [string, string])[] {
  if (!from || from.fromState.length === 0) return [];
  return [
    ['configuration', `${from.fromState.join(', ')} from a state; the rest from ${from.file}`],
  ];
}

export function statusText(view: StatusView, style: Style): string {
  const { paint, now } = style;
  const { device, agent, mqtt, lastLook } = view;
  const ready = agent.ready ? '' : `, ${paint.warn('not ready')}`;
  const sinceMs = device.attestedAgoMs ?? null;
  const attested = sinceMs === null ? '' : ` ${Math.round(sinceMs / 60_000)} min ago`;
  const head = pairs([
    ['device', `${paint.strong(device.id)}  ${paint.dim(labelsText(device.labels))}`],
    [
      'agent',
      `${agent.version}, up ${Math.round(agent.upMs / 1000)} s, start ${device.boot}, time ${device.timeGrade}${attested}${ready}`,
    ],
    ...configurationLines(agent.configuration),
    [
      'last look',
      lastLook
        ? `${ago(now, lastLook.at)} by ${lastLook.wake}: ${lastLook.result}${lastLook.source === '' ? '' : ` (${lastLook.source})`}`
        : 'none yet',
    ],
    [
      'mqtt',
      mqtt
        ? `${mqtt.state === 'up' ? paint.good('up') : paint.warn('down')}, MQTT ${mqtt.protocol}${mqtt.fault ? `: ${mqtt.fault.message}` : ''}`
        : 'not configured',
    ],
    ...registryLines(view, style),
    ...credentialLines(view, style),
    ...(view.undeliveredEvents > 0
      ? [['outbox', `${view.undeliveredEvents} events not yet delivered`] as const]
      : []),
  ]);
  return head + view.channels.map((channel) => `\n${channelText(channel, style)}`).join('');
}

/** Of one that answers as it should the line of the last look says enough. */
function registryLines(
  { registries }: StatusView,
  { paint, wide }: Style,
): readonly (readonly [string, string])[] {
  return registries
    .filter(({ state }) => wide || state === 'lags' || (state === 'fails' && registries.length > 1))
    .map(({ name, state, fault, restsForMs, channels }) => {
      const shown = channels.map(
        ({ channel, shows, behind }) => `${channel} ${shows}${behind ? ` (${behind})` : ''}`,
      );
      const again = restsForMs > 0 ? `, asked again in ${Math.ceil(restsForMs / 1_000)} s` : '';
      const why = fault ? `: ${fault.code}: ${fault.message}${again}` : ` ${shown.join(', ')}`;
      const word = state === 'lags' ? 'lagging mirror' : state;
      return ['registry', `${name} ${state === 'answers' ? word : paint.warn(word)}${why}`];
    });
}

function credentialLines(
  { credential }: StatusView,
  { paint, now }: Style,
): readonly (readonly [string, string])[] {
  if (!credential) return [];
  const { kind, notAfter, fingerprint } = credential;
  if (notAfter === 0) return [['credential', `${kind} ${shortDigest(fingerprint)}`]];
  const days = Math.floor((notAfter - now) / 86_400_000);
  const day = new Date(notAfter).toISOString().slice(0, 10);
  const left = notAfter > now ? `until ${day} (${days} d)` : paint.bad(`ended ${day}`);
  return [['credential', `${kind} ${shortDigest(fingerprint)}, ${left}`]];
}

function channelText(channel: ChannelView, style: Style): string {
  const { paint, now, wide } = style;
  const { applied, desired } = channel;
  const held = channel.heldByOperator ? `  ${paint.warn('held by the operator')}` : '';
  const paused = channel.paused ? `  ${paint.warn('paused')}` : '';
  const degraded = channel.degraded ? `  ${paint.bad('degraded')}` : '';
  const lines = pairs([
    [
      'channel',
      `${paint.strong(channel.channel)}  ${phaseText(channel.phase, paint)}${held}${paused}${degraded}`,
    ],
    [
      'applied',
      applied
        ? `${applied.point}  ${shortDigest(applied.stateDigest)}  ${ago(now, applied.at)} via ${channel.via}`
        : 'nothing yet',
    ],
    ...(desired && desired.stateDigest !== applied?.stateDigest
      ? [['desired', `${desired.point}  ${shortDigest(desired.stateDigest)}`] as const]
      : []),
    ...reasonLines('waits for', channel.waitingFor, paint),
    ...reasonLines('refused', channel.refused, paint),
  ]);
  const rows = channel.deployments.map((deployment) => [
    deployment.id,
    healthText(deployment.health, paint),
    `${deployment.restarts}`,
    shortDigest(deployment.digest),
    ...(wide || deployment.message !== '' ? [deployment.message] : ['']),
  ]);
  const table = columns(['DEPLOYMENT', 'HEALTH', 'RESTARTS', 'DIGEST', ''], rows);
  return table === '' ? lines : `${lines}\n${table}`;
}

function reasonLines(
  name: string,
  reason: FaultView | null,
  paint: Painter,
): readonly (readonly [string, string])[] {
  if (!reason) return [];
  const cure = reason.remedy === '' ? '' : `\n${' '.repeat(11)}${paint.dim(`→ ${reason.remedy}`)}`;
  return [[name, `${paint.warn(reason.code)}: ${reason.message}${cure}`]];
}

function phaseText(phase: string, paint: Painter): string {
  if (phase === 'idle') return paint.good(phase);
  return phase === 'stuck' || phase === 'safe-mode' ? paint.bad(phase) : paint.warn(phase);
}

function healthText(health: string, paint: Painter): string {
  if (health === 'healthy') return paint.good(health);
  return health === 'starting' ? paint.warn(health) : paint.bad(health);
}

function labelsText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(' ');
}
