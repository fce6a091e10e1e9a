/** `holdfast hub`: registry and broker in one process, until SIGTERM or SIGINT; with TLS, enrolment. */
import { type Command, InvalidArgumentError } from 'commander';
import type { Fault } from '#errors/fault.ts';
import type { CliContext } from './context.ts';
import { exitCodeOf } from './exit.ts';
import { registerHubEnroll } from './hub-enroll.ts';
import { type MargoFlags, margoOptions, startHubMargo } from './hub-margo.ts';
import { registerHubMargo } from './hub-margo-list.ts';
import { type SecureFlags, secureOf, secureOptions } from './hub-secure.ts';
import { type HubTimeFlags, startHubTime, timeOptions } from './hub-time.ts';
import { resolvePath } from './paths.ts';
import { complain } from './render.ts';

interface Options extends SecureFlags, HubTimeFlags, MargoFlags {
  readonly data: string;
  readonly listen: string;
  readonly registryPort: number;
  readonly mqttPort: number;
  readonly insecure?: boolean;
}

export function registerHub(program: Command, context: CliContext): void {
  const { env } = context;
  const hub = program
    .command('hub')
    .description(
      'an OCI registry, an MQTT broker and a page of the fleet, for a bench or one plant',
    )
    .option('--data <folder>', 'where it keeps everything', env.HOLDFAST_HUB_DATA ?? 'hub-data')
    .option('--listen <host>', 'address to listen on', env.HOLDFAST_HUB_LISTEN ?? '127.0.0.1')
    .option(
      '--registry-port <port>',
      'of the registry; 0: any',
      port,
      fromEnv(env.HOLDFAST_HUB_REGISTRY_PORT, 5080),
    )
    .option(
      '--mqtt-port <port>',
      'of the broker; 0: any',
      port,
      fromEnv(env.HOLDFAST_HUB_MQTT_PORT, 1883),
    )
    .option('--insecure', 'let other machines in: everyone may read and write');
  margoOptions(timeOptions(secureOptions(hub, context), context)).action((options: Options) =>
    runHub(context, options),
  );
  registerHubEnroll(hub, context);
  registerHubMargo(hub, context);
}

function port(text: string): number {
  const number = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(number <= 65_535)) throw new InvalidArgumentError('A port is a number up to 65535.');
  return number;
}

function fromEnv(text: string | undefined, otherwise: number): number {
  return text === undefined ? otherwise : port(text);
}

async function runHub(context: CliContext, options: Options): Promise<void> {
  // Only this command needs the broker: no other one pays for loading it.
  const { startHub } = await import('#hub/hub.ts');
  const secure = secureOf(context, options.listen, options);
  if (!secure.ok) return failed(context, secure.fault);
  const stop = new Promise<void>((resolve) => {
    context.onSignal('stop', resolve);
  });
  const hub = await startHub(context.platform, {
    folder: resolvePath(context, options.data),
    host: options.listen,
    registryPort: options.registryPort,
    mqttPort: options.mqttPort,
    insecure: options.insecure === true,
    secure: secure.value,
  });
  if (!hub.ok) return failed(context, hub.fault);
  const host = options.listen.includes(':') ? `[${options.listen}]` : options.listen;
  const { registryPort, mqttPort, authority } = hub.value;
  const s = authority ? 's' : '';
  if (authority) context.terminal.out(`authority ${authority}\n`);
  context.terminal.out(`registry  http${s}://${host}:${registryPort}\n`);
  context.terminal.out(`mqtt      mqtt${s}://${host}:${mqttPort}\n`);
  context.terminal.out(`fleet     http${s}://${host}:${registryPort}/\n`);
  const time = await startHubTime(context, options);
  if (!time.ok) {
    await hub.value.close();
    return failed(context, time.fault);
  }
  if (time.value) context.terminal.out(`time      http://127.0.0.1:${time.value.port}\n`);
  const margo = await startHubMargo(context, options, hub.value);
  if (!margo.ok) {
    await Promise.all([time.value?.close(), hub.value.close()]);
    return failed(context, margo.fault);
  }
  await stop;
  await margo.value?.close();
  await time.value?.close();
  await hub.value.close();
  context.exit(0);
}

function failed(context: CliContext, why: Fault): void {
  complain(context.terminal, why);
  context.exit(exitCodeOf(why.code));
}
