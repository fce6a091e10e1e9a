/**
 * `holdfast audit`, `audit verify`, `audit export`: what was accepted, refused, applied and undone on
 * a device, the proof that nothing of it was altered, and the evidence of one change as one file.
 */
import { type Command, InvalidArgumentError } from 'commander';
import { readJournalOffline } from '#agent/audit-offline.ts';
import { verifyChange, verifyJournal } from '#agent/audit-verify.ts';
import { type ChangeView, type VerifiedView, verifiedView } from '#agent/audit-view.ts';
import type { AuditEntryView } from '#control/api.ts';
import { askBytes } from '#control/client.ts';
import { type Fault, ok, type Result } from '#errors/fault.ts';
import { type Digest, parseDigest } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { readAuditFile } from '#wire/audit-file.ts';
import type { CliContext } from './context.ts';
import { EXIT, exitCodeOf } from './exit.ts';
import { positive } from './history.ts';
import { type LocalOptions, local, printed, show } from './local.ts';
import { resolvePath } from './paths.ts';
import { ago, columns, complain, type Painter, painter, pairs } from './render.ts';

const FILE_MODE = 0o600;

interface VerifyOptions extends LocalOptions {
  readonly stateDir?: string;
  readonly head?: Digest;
  readonly root?: string;
}

interface ExportOptions extends LocalOptions {
  readonly change?: string;
  readonly file: string;
}

/** `audit` takes --run-dir and -o wherever they stand: its own commands read them from it. */
export function registerAudit(program: Command, context: CliContext): void {
  const audit = local(program, 'audit', 'what was accepted, refused, applied; newest first')
    .option('-n, --limit <count>', 'how many', positive, 20)
    .action((options: LocalOptions & { readonly limit: number }) => list(context, options));
  local(audit, 'verify', 'proves that the journal is unbroken; needs no agent with a file')
    .argument('[file]', 'what `holdfast audit export` wrote; without it the running agent is asked')
    .option('--state-dir <dir>', 'of an agent that does not run; read only')
    .option('--head <digest>', 'audit_head of a signed status: it must be in the journal', digestOf)
    .option('--root <file>', 'root that the change must have been accepted by')
    .action(async (file: string | undefined, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<VerifyOptions>();
      finish(context, options, await verify(context, file, options));
    });
  local(audit, 'export', 'the journal, and the evidence of one change, as one file')
    .option('--change <number>', 'sequence of the state (57), or with its epoch (1.57)')
    .requiredOption('-f, --file <file>', 'to write; a file that is there stays')
    .action(async (_: unknown, command: Command) =>
      exported(context, command.optsWithGlobals<ExportOptions>()),
    );
}

async function list(
  context: CliContext,
  options: LocalOptions & { readonly limit: number },
): Promise<void> {
  const paint = painter(context.terminal);
  const now = context.platform.clock.wallMs();
  await show<readonly AuditEntryView[]>(context, options, 'audit', {
    asked: { query: { limit: `${options.limit}` } },
    text: (rows) => (rows.length === 0 ? 'The journal is empty.\n' : entriesText(rows, paint, now)),
    name: (rows) => rows.map(({ number }) => `${number}\n`).join(''),
  });
}

function entriesText(rows: readonly AuditEntryView[], paint: Painter, now: number): string {
  return columns(
    ['#', 'WHEN', 'WHAT', 'BY', 'CHANNEL', 'STATE', 'VIA', ''],
    rows.map((row) => [
      row.number,
      row.grade === 'estimated' ? `~${ago(now, row.at)}` : ago(now, row.at),
      row.code === null ? row.kind : paint.warn(row.kind),
      row.actor,
      row.channel === '' ? '–' : row.channel,
      row.point ?? '–',
      row.via ?? '–',
      row.code ? `${row.code}: ${row.message}` : row.message,
    ]),
  );
}

async function verify(
  context: CliContext,
  name: string | undefined,
  options: VerifyOptions,
): Promise<Result<VerifiedView>> {
  const { head = null } = options;
  if (name === undefined && options.stateDir !== undefined) {
    const place = resolvePath(context, options.stateDir);
    const journal = readJournalOffline(context.platform, place);
    const verified = journal.ok ? verifyJournal(journal.value, head) : journal;
    return verified.ok ? ok(verifiedView(null, verified.value, null)) : verified;
  }
  const bytes =
    name === undefined
      ? await askedFile(context, options, null)
      : context.platform.files.readFile(resolvePath(context, name), LIMITS.auditFileBytes);
  const file = bytes.ok ? readAuditFile(bytes.value) : bytes;
  if (!file.ok) return file;
  const root = readRoot(context, options.root);
  if (!root.ok) return root;
  const { journal, change } = file.value;
  const verified = verifyJournal(journal, head);
  if (!verified.ok) return verified;
  if (!change) return ok(verifiedView(file.value, verified.value, null));
  const known = { head, root: root.value };
  const judged = verifyChange(file.value, change, verified.value.entries, known);
  return judged.ok ? ok(verifiedView(file.value, verified.value, judged.value)) : judged;
}

function digestOf(text: string): Digest {
  const digest = parseDigest(text.startsWith('sha256:') ? text : `sha256:${text}`);
  if (digest === null) throw new InvalidArgumentError('sha256: and 64 lower-case hex digits');
  return digest;
}

function readRoot(context: CliContext, name: string | undefined): Result<Uint8Array | null> {
  if (name === undefined) return ok(null);
  return context.platform.files.readFile(resolvePath(context, name), LIMITS.rootBytes);
}

async function askedFile(
  { platform }: CliContext,
  { runDir }: LocalOptions,
  change: string | null,
): Promise<Result<Uint8Array>> {
  const chunks: Uint8Array[] = [];
  const asked = await askBytes(platform.http, runDir, 'auditFile', {
    query: change === null ? {} : { change },
    onBytes: (bytes) => void chunks.push(bytes),
  });
  return asked.ok ? ok(new Uint8Array(Buffer.concat(chunks))) : asked;
}

async function exported(context: CliContext, options: ExportOptions): Promise<void> {
  const bytes = await askedFile(context, options, options.change ?? null);
  if (!bytes.ok) return fail(context, bytes.fault);
  const path = resolvePath(context, options.file);
  const cut = path.lastIndexOf('/');
  const folder = context.platform.files.open(path.slice(0, cut) || '/', { follow: true });
  if (!folder.ok) return fail(context, folder.fault);
  const wrote = folder.value.write(path.slice(cut + 1), bytes.value, FILE_MODE);
  folder.value.close();
  if (!wrote.ok) return fail(context, wrote.fault);
  const view = { file: path, bytes: bytes.value.length };
  const text = ({ file }: typeof view) => `${file}\n`;
  context.terminal.out(printed(options.output, view, { text, name: text }));
  context.exit(EXIT.done);
}

function fail(context: CliContext, why: Fault): void {
  complain(context.terminal, why);
  context.exit(exitCodeOf(why.code));
}

function finish(context: CliContext, { output }: LocalOptions, verdict: Result<VerifiedView>) {
  if (!verdict.ok) return fail(context, verdict.fault);
  const paint = painter(context.terminal);
  const now = context.platform.clock.wallMs();
  const name = ({ head }: VerifiedView) => `${head}\n`;
  const text = (view: VerifiedView) => verifiedText(view, paint, now);
  context.terminal.out(printed(output, verdict.value, { text, name }));
  context.exit(EXIT.done);
}

function verifiedText(view: VerifiedView, paint: Painter, now: number): string {
  const vouched =
    view.attestedTo === null
      ? 'sound in itself; give --head from a signed status to tie it to the device'
      : `the given head is that of entry ${view.attestedTo}`;
  const journal = pairs([
    ...(view.device === null ? [] : [['device', view.device] as const]),
    ['entries', `${view.entries} unbroken, ${view.folded} folded before them`],
    ['head', `${view.head} (${vouched})`],
  ]);
  const change = view.change === null ? '' : changeText(view.change, paint, now);
  return `${journal}${change}${paint.good('verified')}\n`;
}

function changeText(change: ChangeView, paint: Painter, now: number): string {
  const { root } = change;
  const given = root.given ? 'the given one' : 'as recorded; give --root to compare it';
  const rows = change.recounted.map((check) => [
    `${check.number}`,
    check.name,
    check.passed ? paint.good('passed') : paint.bad('failed'),
    check.compared,
  ]);
  return [
    '\n',
    pairs([
      ['change', `${change.channel} ${change.point}`],
      ['state', change.stateDigest],
      ['root', `version ${root.version} ${root.digest} (${given})`],
      ...change.steps.map((step) => ['step', step] as const),
    ]),
    columns(['CHECK', '', '', 'COMPARED'], rows),
    entriesText([change.accepted, ...change.outcome], paint, now),
  ].join('');
}
