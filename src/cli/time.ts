/**
 * `holdfast time …`: `sign`, `publish` and `serve` are the authority's side, in a fleet folder; `ask`
 * is the device's: what a person carries to an authority, whose answer `apply --time` takes.
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { QuestionView } from '#control/api.ts';
import { ok, type Result, refuse } from '#errors/fault.ts';
import { instantOrNever } from '#publisher/root-time.ts';
import { pushTime, sendTime, writeTimeBundle } from '#publisher/time-publish.ts';
import { LIMITS } from '#state/limits.ts';
import { isDeviceId } from '#state/names.ts';
import { pointText } from '#state/point.ts';
import type { TimeHead, TimeRequest } from '#state/time-statement.ts';
import { writeEnvelope } from '#wire/envelope.ts';
import { readTimeStatement } from '#wire/time-statement.ts';
import type { CliContext } from './context.ts';
import { EXIT } from './exit.ts';
import { bundleName, type FleetOptions, fail, finish, fleetCommand } from './fleet-command.ts';
import { type LocalOptions, local, show } from './local.ts';
import { pairs } from './render.ts';
import {
  type AuthorityFlags,
  openAuthority,
  type ServeFlags,
  startAuthority,
} from './time-authority.ts';
import { writeOut } from './write-out.ts';

interface SignFlags extends FleetOptions, AuthorityFlags {
  readonly nonce?: string;
  readonly device?: string;
  readonly heads: boolean;
  readonly out?: string;
}

interface PublishFlags extends FleetOptions, AuthorityFlags {
  readonly heads: boolean;
  readonly to?: string;
}

interface SignedView {
  readonly at: string;
  readonly device: string;
  readonly heads: readonly string[];
  readonly to: readonly string[];
}

export function registerTime(program: Command, context: CliContext): void {
  const time = program
    .command('time')
    .description('signed time statements, for devices without a clock');
  registerSign(time, context);
  registerPublish(time, context);
  registerServe(time, context);
  local(
    time,
    'ask',
    'on a device: what to ask an authority with; `apply --time` takes its answer',
  ).action(async (options: LocalOptions) => {
    await show<QuestionView>(context, options, 'timeAsk', {
      text: ({ device, nonce }) =>
        `${pairs([
          ['device', device],
          ['nonce', nonce],
        ])}\n` + `holdfast time sign --device ${device} --nonce ${nonce} --out answer.json\n`,
      name: ({ nonce }) => `${nonce}\n`,
    });
  });
}

function keyOption(): Option {
  return new Option(
    '--key <file...>',
    'keys of the role time; default: keys/signing/time.pem',
  ).default([], 'keys/signing/time.pem');
}

function registerSign(time: Command, context: CliContext): void {
  fleetCommand(time, 'sign', 'signs what time it is: for everyone, or for one device’s nonce')
    .addOption(keyOption())
    .option('--nonce <hex>', 'what the device asked with (`holdfast time ask`)')
    .option('--device <id>', 'which device it was')
    .option('--no-heads', 'do not look at the registry for the channels’ heads')
    .option('--out <file>', 'a new file, instead of standard output')
    .action(async (options: SignFlags) => {
      const done = await sign(context, options);
      if (!done.ok) return fail(context, done.fault);
      if (options.out === undefined) {
        context.terminal.out(`${new TextDecoder().decode(done.value.bytes)}\n`);
        return context.exit(EXIT.done);
      }
      finish(context, options.output, ok(done.value.view), { text: signedText, name: toText });
    });
}

async function sign(
  context: CliContext,
  flags: SignFlags,
): Promise<Result<{ readonly bytes: Uint8Array; readonly view: SignedView }>> {
  const request = requestOf(flags);
  if (!request.ok) return request;
  const opened = await openAuthority(context, flags, flags.heads);
  if (!opened.ok) return opened;
  const { authority, registry } = opened.value;
  const signed = request.value
    ? await authority.answer(request.value)
    : await authority.broadcast();
  registry?.close();
  if (!signed.ok) return signed;
  const bytes = writeEnvelope(signed.value);
  const { out } = flags;
  if (out !== undefined) {
    const wrote = writeOut(context, out, bytes);
    if (!wrote.ok) return wrote;
  }
  return ok({ bytes, view: viewOf(signed.value.payload, out === undefined ? [] : [out]) });
}

/** Null: for everyone. */
function requestOf({ nonce, device }: SignFlags): Result<TimeRequest | null> {
  if (nonce === undefined && device === undefined) return ok(null);
  const no = (option: string, reason: string) => refuse('publish.option', { option, reason });
  if (nonce === undefined || device === undefined) {
    return no('--nonce and --device', 'an answer needs both; neither: for everyone');
  }
  const { timeNonceMin: min, timeNonceMax: max } = LIMITS;
  const isHex = /^(?:[0-9a-f]{2})+$/i.test(nonce);
  if (!isHex || nonce.length < 2 * min || nonce.length > 2 * max) {
    return no('--nonce', `${min} to ${max} bytes in hex, as \`holdfast time ask\` prints them`);
  }
  if (!isDeviceId(device)) return no('--device', 'that is no device id');
  return ok({ nonce: new Uint8Array(Buffer.from(nonce, 'hex')), deviceId: device });
}

function registerPublish(time: Command, context: CliContext): void {
  fleetCommand(time, 'publish', 'puts a statement for everyone where devices find it')
    .addOption(keyOption())
    .option('--no-heads', 'do not look at the registry for the channels’ heads')
    .option('--to <bundle>', 'oci:DIR or oci-archive:FILE, instead of registry and broker')
    .action(async (options: PublishFlags) => {
      finish(context, options.output, await publish(context, options), {
        text: signedText,
        name: toText,
      });
    });
}

async function publish(context: CliContext, flags: PublishFlags): Promise<Result<SignedView>> {
  const { platform } = context;
  const opened = await openAuthority(context, flags, flags.heads);
  if (!opened.ok) return opened;
  const { authority, registry, fleet } = opened.value;
  try {
    const signed = await authority.broadcast();
    if (!signed.ok) return signed;
    const { payload } = signed.value;
    if (flags.to !== undefined) {
      const bundle = writeTimeBundle(platform.files, bundleName(context, flags.to), signed.value);
      return bundle.ok ? ok(viewOf(payload, [bundle.value])) : bundle;
    }
    if (!registry && !fleet.config.mqtt) return refuse('publish.no-registry', {});
    const pushed = registry ? await pushTime(registry.registry, signed.value) : ok();
    if (!pushed.ok) return pushed;
    const sent = fleet.config.mqtt ? await sendTime(platform, fleet, signed.value) : ok();
    if (!sent.ok) return sent;
    const to = [...(registry ? [`${registry.registry.name}:time`] : [])];
    return ok(viewOf(payload, [...to, ...(fleet.config.mqtt ? ['the broker'] : [])]));
  } finally {
    registry?.close();
  }
}

function registerServe(time: Command, context: CliContext): void {
  fleetCommand(time, 'serve', 'answers devices over the broker and HTTP, and publishes daily')
    .addOption(keyOption())
    .option('--listen <host>', 'address for HTTP', '127.0.0.1')
    .option('--port <port>', 'for HTTP; 0: any', portOf, 5090)
    .option('--tls-cert <file>', 'PEM: HTTPS')
    .option('--tls-key <file>', 'PEM')
    .option('--insecure', 'plain HTTP beyond this host', false)
    .action((options: FleetOptions & ServeFlags) => serve(context, options));
}

async function serve(context: CliContext, flags: ServeFlags): Promise<void> {
  const stop = new Promise<void>((resolve) => {
    context.onSignal('stop', resolve);
  });
  const served = await startAuthority(context, flags);
  if (!served.ok) return fail(context, served.fault);
  context.terminal.out(servedText(flags, served.value.port));
  await stop;
  await served.value.close();
  context.exit(EXIT.done);
}

function servedText({ listen, tlsCert }: ServeFlags, port: number): string {
  const host = listen.includes(':') ? `[${listen}]` : listen;
  return `time      http${tlsCert === undefined ? '' : 's'}://${host}:${port}/\n`;
}

export function portOf(text: string): number {
  const number = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(number <= 65_535)) throw new InvalidArgumentError('A port is a number up to 65535.');
  return number;
}

function viewOf(payload: Uint8Array, to: readonly string[]): SignedView {
  const read = readTimeStatement(payload);
  const { at, deviceId, heads } = read.ok ? read.value : { at: 0, deviceId: '', heads: [] };
  return { at: instantOrNever(at), device: deviceId, heads: heads.map(headText), to };
}

function headText(head: TimeHead): string {
  return `${head.channel} ${pointText(head)}`;
}

function signedText({ at, device, heads, to }: SignedView): string {
  return pairs([
    ['time', at],
    ['for', device === '' ? 'everyone' : device],
    ['heads', heads.length === 0 ? 'none' : heads.join(', ')],
    ['to', to.join(', ')],
  ]);
}

function toText({ to }: SignedView): string {
  return to.map((place) => `${place}\n`).join('');
}
