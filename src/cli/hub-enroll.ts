/**
 * `holdfast hub enroll`: the operator's side of enrolment, beside a running hub (over its socket) or
 * on the folder of one that does not run.
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { AdminAnswer, AdminRequest, DeviceView } from '#hub/admin.ts';
import type { CliContext } from './context.ts';
import { finish } from './fleet-command.ts';
import { timeSpan } from './hub-secure.ts';
import { resolvePath } from './paths.ts';
import { ago, columns, FORMATS, type Format, pairs } from './render.ts';

interface Common {
  readonly data: string;
  readonly output: Format;
}

const YEAR_MS = 366 * 86_400_000;
const SECRET_MODE = 0o600;

export function registerHubEnroll(hub: Command, context: CliContext): void {
  const enroll = hub.command('enroll').description('which devices and operators this hub lets in');
  shared(enroll.command('list'), context)
    .description('devices with the fingerprints of their keys, tokens that still count, operators')
    .action((_: Common, command: Command) => act(context, command, { do: 'list' }));
  shared(enroll.command('approve'), context)
    .description('let a waiting device in, after comparing its fingerprint')
    .argument('<device>', 'its fingerprint (groups, words, or the beginning), or its id')
    .option('--replace', 'it takes the id over from the key that has it: new hardware', false)
    .action((who: string, options: { readonly replace: boolean }, command: Command) =>
      act(context, command, { do: 'approve', who, replace: options.replace }),
    );
  shared(enroll.command('deny'), context)
    .description('turn a waiting device away')
    .argument('<device>', 'its fingerprint or id')
    .action((who: string, _: Common, command: Command) =>
      act(context, command, { do: 'deny', who }),
    );
  shared(enroll.command('revoke'), context)
    .description('from now on: a device, a token (its id), or operator/NAME')
    .argument('<who>', 'a device id or fingerprint, a token id, operator/NAME')
    .action((who: string, _: Common, command: Command) =>
      act(context, command, { do: 'revoke', who }),
    );
  registerToken(enroll, context);
  shared(enroll.command('operator'), context)
    .description('a secret for one who publishes; printed once, or into files')
    .argument('<name>', 'whose it is')
    .option('--out <folder>', 'write user, secret and ca.pem there, for fleet.yaml')
    .action((name: string, options: { readonly out?: string }, command: Command) =>
      operator(context, command, { name, out: options.out ?? null }),
    );
}

function registerToken(enroll: Command, context: CliContext): void {
  shared(enroll.command('token'), context)
    .description('one-time tokens, a line each')
    .requiredOption('--device <id...>', 'for whom: an id, or a pattern such as press-*')
    .option('--label <key=value...>', 'labels that the device must have', [])
    .option(
      '--life <duration>',
      'how long it can be used',
      (text) => timeSpan(text, YEAR_MS),
      86_400_000,
    )
    .option('--count <n>', 'so many for each id or pattern', count, 1)
    .option('--url <url>', 'https address of the hub, when devices know another one')
    .action((options: TokenOptions, command: Command) => {
      const labels = labelsOf(options.label);
      if (!labels.ok) return finish(context, 'text', labels, NOTHING);
      const { device: devices, life: lifeMs, count: times } = options;
      const wish = { devices, labels: labels.value, lifeMs, count: times };
      return act(context, command, { do: 'token', ...wish, url: options.url ?? '' });
    });
}

interface TokenOptions {
  readonly device: readonly string[];
  readonly label: readonly string[];
  readonly life: number;
  readonly count: number;
  readonly url?: string;
}

const NOTHING = { text: () => '', name: () => '' };

function shared(command: Command, { env }: CliContext): Command {
  return command
    .addOption(
      new Option('--data <folder>', 'the folder of the hub').default(
        env.HOLDFAST_HUB_DATA ?? 'hub-data',
      ),
    )
    .addOption(
      new Option('-o, --output <format>', 'how to print').choices([...FORMATS]).default('text'),
    );
}

/** `--data` may stand before `enroll` as well: it is the hub's. */
function commonOf(command: Command): Common {
  const { output } = command.opts<Common>();
  const own = command.getOptionValueSource('data') === 'default';
  const outer = command.parent?.parent;
  const data = own && outer ? outer.opts<Common>().data : command.opts<Common>().data;
  return { data, output };
}

async function act(context: CliContext, command: Command, request: AdminRequest): Promise<void> {
  const { data, output } = commonOf(command);
  const answer = await ask(context, resolvePath(context, data), request);
  const now = context.platform.clock.wallMs();
  finish(context, output, answer, {
    text: (view) => answerText(view, now),
    name: (view) => answerNames(view),
  });
}

/** A hub that runs answers; else its folder is opened under its lock. */
async function ask(
  context: CliContext,
  folder: string,
  request: AdminRequest,
): Promise<Result<AdminAnswer>> {
  const { platform } = context;
  const { askHub } = await import('#hub/admin-socket.ts');
  const told = await askHub(platform.http, folder, request);
  if (told) return told;
  const there = platform.files.open(folder, { follow: true });
  if (!there.ok) return refuse('hub.no-tls', { folder });
  there.value.close();
  const lock = platform.locks.take(`${folder}/hub.lock`);
  if (!lock.ok) return lock;
  if (!lock.value) return refuse('hub.in-use', { folder });
  const { openResting } = await import('#hub/secure.ts');
  const { administer } = await import('#hub/admin.ts');
  try {
    const resting = await openResting(platform, folder);
    if (!resting.ok) return resting;
    const done = administer(resting.value.input, request);
    resting.value.close();
    return done;
  } finally {
    lock.value.release();
  }
}

async function operator(
  context: CliContext,
  command: Command,
  { name, out }: { readonly name: string; readonly out: string | null },
): Promise<void> {
  const { data, output } = commonOf(command);
  const folder = resolvePath(context, data);
  const made = await ask(context, folder, { do: 'operator', name });
  if (!made.ok || out === null || !('secret' in made.value)) {
    return finish(context, output, made, {
      text: (view) => answerText(view, 0),
      name: (view) => answerNames(view),
    });
  }
  const written = writeOperator(context, folder, resolvePath(context, out), made.value);
  finish(context, output, written, { text: (text) => text, name: () => `${name}\n` });
}

function writeOperator(
  { platform }: CliContext,
  hub: string,
  out: string,
  { operator: name, secret }: { readonly operator: string; readonly secret: string },
): Result<string> {
  const ca = platform.files.readFile(`${hub}/tls/ca.pem`, 64 * 1024);
  if (!ca.ok) return ca;
  const directory = platform.files.open(out, { create: 0o700, follow: true });
  if (!directory.ok) return directory;
  try {
    for (const [file, text] of [
      ['user', `${name}\n`],
      ['secret', `${secret}\n`],
      ['ca.pem', Buffer.from(ca.value).toString('latin1')],
    ] as const) {
      const cleared = directory.value.removeTree(file);
      if (!cleared.ok) return cleared;
      const written = directory.value.write(file, Buffer.from(text), SECRET_MODE);
      if (!written.ok) return written;
    }
    return ok(
      `${out} has user, secret and ca.pem. In fleet.yaml, below registry and mqtt:\n` +
        `  auth: { usernameFile: ${out}/user, passwordFile: ${out}/secret }\n` +
        `  tls: { ca: ${out}/ca.pem }\n`,
    );
  } finally {
    directory.value.close();
  }
}

function answerText(view: AdminAnswer, now: number): string {
  if ('done' in view) return `${view.done}\n`;
  if ('secret' in view)
    return pairs([
      ['user', view.operator],
      ['secret', view.secret],
    ]);
  if (!('devices' in view)) return view.tokens.map(({ token }) => `${token}\n`).join('');
  const devices = columns(
    ['DEVICE', 'STATE', 'FINGERPRINT', 'WORDS', 'ASKED', 'FROM', 'UNTIL'],
    view.devices.map((device) => [
      device.nameTaken ? `${device.id} (taken)` : device.id,
      device.state,
      device.fingerprint,
      device.words,
      ago(now, device.askedAt),
      device.address,
      untilText(device),
    ]),
  );
  const tokens = columns(
    ['TOKEN', 'FOR', 'UNTIL', ''],
    view.tokens.map(({ id, device, expiresAt, used }) => [
      id,
      device,
      new Date(expiresAt).toISOString(),
      used ? 'used' : '',
    ]),
  );
  const operators = view.operators.map((name) => `operator/${name}\n`).join('');
  return [pairs([['hub', view.hub]]), devices, tokens, operators]
    .filter((text) => text !== '')
    .join('\n');
}

function untilText({ notAfter }: DeviceView): string {
  return notAfter === 0 ? '' : new Date(notAfter).toISOString().slice(0, 10);
}

function answerNames(view: AdminAnswer): string {
  if ('devices' in view) return view.devices.map(({ id }) => `device/${id}\n`).join('');
  if ('tokens' in view) return view.tokens.map(({ token }) => `${token}\n`).join('');
  return 'secret' in view ? `${view.operator}\n` : `${view.done}\n`;
}

function labelsOf(texts: readonly string[]): Result<Readonly<Record<string, string>>> {
  const labels: Record<string, string> = {};
  for (const text of texts) {
    const at = text.indexOf('=');
    if (at < 1) return refuse('hub.no-record', { who: text.slice(0, 80), reason: 'not KEY=VALUE' });
    labels[text.slice(0, at)] = text.slice(at + 1);
  }
  return ok(labels);
}

function count(text: string): number {
  const number = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (number < 1) throw new InvalidArgumentError('A number from 1 to 5000.');
  return number;
}
