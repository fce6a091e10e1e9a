/**
 * `holdfast agent`: runs until it is told to stop. SIGTERM stops cleanly and leaves programs
 * running; as process 1, and for `holdfast stop`, they are stopped first, in reverse order. SIGHUP
 * rereads the configuration. `--once` does one cycle and ends with its exit code.
 */
import type { Command } from 'commander';
import { type Assembled, assemble } from '#agent/assemble.ts';
import type { AgentConfig } from '#agent/config.ts';
import type { ChannelEnd } from '#agent/device-agent.ts';
import { controlHandlers } from '#agent/handlers.ts';
import { serveMetrics } from '#agent/metrics.ts';
import { readEffective } from '#agent/own-configuration.ts';
import { startRenewal } from '#agent/renewal.ts';
import { forgetStartFailure, noteStartFailure } from '#agent/start-failure.ts';
import { stopPrograms } from '#agent/stop-programs.ts';
import { serveControl } from '#control/server.ts';
import { type Fault, ok, type Result } from '#errors/fault.ts';
import type { CliContext } from './context.ts';
import { EXIT, exitCodeOf } from './exit.ts';
import { resolvePath } from './paths.ts';
import { complain } from './render.ts';

const CONFIG = '/etc/holdfast/agent.yaml';

interface Options {
  readonly config: string;
  readonly once?: boolean;
}

export function registerAgent(program: Command, context: CliContext): void {
  program
    .command('agent')
    .description('keeps this device at its signed desired state')
    .option('-c, --config <file>', 'agent.yaml', context.env.HOLDFAST_CONFIG ?? CONFIG)
    .option('--once', 'one cycle: look, apply, end')
    .action((options: Options) => runAgent(context, options));
}

type Ended = 'stop' | 'stop-programs' | 'reload';

async function runAgent(context: CliContext, options: Options): Promise<void> {
  const file = resolvePath(context, options.config);
  let config = readEffective(context.platform.files, file);
  for (;;) {
    if (!config.ok) return failed(context, config.fault);
    const { config: effective, ignored } = config.value;
    context.configureLog(effective.log);
    if (ignored) complain(context.terminal, ignored);
    const ended = await runConfigured(context, effective, options.once === true);
    if (!ended.ok) {
      const { clock, files } = context.platform;
      noteStartFailure(files, effective.runDir, clock.wallMs(), ended.fault);
      return failed(context, ended.fault);
    }
    if (ended.value !== 'reload') return;
    const next = readEffective(context.platform.files, file);
    // A configuration that cannot be read changes nothing: the one in force goes on.
    if (next.ok) config = next;
    else complain(context.terminal, next.fault);
  }
}

function failed(context: CliContext, fault: Fault): void {
  complain(context.terminal, fault);
  context.exit(exitCodeOf(fault.code));
}

async function runConfigured(
  context: CliContext,
  config: AgentConfig,
  once: boolean,
): Promise<Result<Ended>> {
  const { platform, version } = context;
  const startedAt = platform.clock.monotonicMs();
  context.starting(config.runDir);
  const reload: Reload = {
    wanted: false,
    now() {
      reload.wanted = true;
    },
  };
  const assembled = assemble(platform, config, {
    version: version.version,
    buildTime: version.buildTime,
    executable: context.executable,
    env: context.env,
    ...(once ? {} : { reload: () => reload.now() }),
    ready: () => context.ready(config.runDir),
  });
  if (!assembled.ok) return assembled;
  const it = assembled.value;
  try {
    const started = await it.agent.start();
    if (!started.ok) return started;
    if (once) {
      await it.timekeeping.askNow();
      await it.device.look({ kind: 'command' }, new AbortController().signal);
      const ends = await it.agent.look({ kind: 'command' });
      await it.idle();
      await it.agent.valuesChanged();
      context.exit(exitOf(context, ends));
      return ok('stop');
    }
    return await serve(context, it, { startedAt, reload });
  } finally {
    it.close();
  }
}

/** What a recovery wants before anything is served comes true as soon as something is. */
interface Reload {
  wanted: boolean;
  now: () => void;
}

async function serve(
  context: CliContext,
  assembled: Assembled,
  { startedAt, reload }: { readonly startedAt: number; readonly reload: Reload },
): Promise<Result<Ended>> {
  const { platform, version } = context;
  const { config } = assembled;
  const stopping = new AbortController();
  const ended: { how: Ended } = { how: 'stop' };
  const end = (how: Ended) => {
    ended.how = how;
    stopping.abort();
  };
  // A change that is under way ends first: two runs of the agent never have one store.
  reload.now = () => void assembled.idle().then(() => end('reload'));
  if (reload.wanted) reload.now();
  const handlers = controlHandlers({
    platform,
    assembled,
    agentVersion: version.version,
    startedAt,
    async stop() {
      const stopped = await stopPrograms(assembled, true);
      end('stop-programs');
      return stopped;
    },
  });
  const sockets = {
    runDir: config.runDir,
    group: config.controlGroup,
    statusMode: config.statusMode,
  };
  const closeControl = await serveControl(platform.listener, sockets, handlers);
  if (!closeControl.ok) return closeControl;
  const closeMetrics = await openMetrics(context, assembled);
  if (!closeMetrics.ok) {
    await closeControl.value();
    return closeMetrics;
  }
  const unsubscribe = [
    context.onSignal('stop', () => end(platform.processes.self.isInit ? 'stop-programs' : 'stop')),
    context.onSignal('reload', () => reload.now()),
  ];
  const disconnect = assembled.connect();
  const stopRenewal = startRenewal({
    ...{ platform, config, base: assembled.base, agentVersion: version.version },
    changed() {
      assembled.delivery?.changed('detail');
      // What a broker refused by the old one it may take by this one: not after minutes of backoff.
      assembled.links.mqtt?.kick();
    },
  });
  forgetStartFailure(platform.files, config.runDir);
  platform.log.write('info', 'agent.started', {
    version: version.version,
    device: assembled.base.device.id,
  });
  try {
    await assembled.agent.run(stopping.signal);
  } finally {
    for (const off of unsubscribe) off();
    await stopRenewal();
    await disconnect();
    await closeMetrics.value();
    await closeControl.value();
  }
  if (ended.how === 'stop-programs') await stopPrograms(assembled, false);
  assembled.base.starts.reset();
  platform.log.write('info', 'agent.stopped', { how: ended.how });
  return ok(ended.how);
}

async function openMetrics(
  { platform }: CliContext,
  { config, links, base, snapshot }: Assembled,
): Promise<Result<() => Promise<void>>> {
  if (config.metricsListen === null) return ok(async () => undefined);
  return serveMetrics(platform.listener, config.metricsListen, {
    snapshot,
    mirrors: links.mirrors,
    mqttUp: () => (links.mqtt ? links.mqtt.state().kind === 'up' : null),
    freeBytes() {
      const free = base.content.freeBytes();
      return free.ok ? free.value : null;
    },
  });
}

/** Each channel that did not end well is told; the code is that of the first one. */
function exitOf({ terminal }: CliContext, ends: readonly ChannelEnd[]): number {
  const faults = ends.flatMap(({ end }) => ('fault' in end ? [end.fault] : []));
  for (const fault of faults) complain(terminal, fault);
  return faults[0] ? exitCodeOf(faults[0].code) : EXIT.done;
}
