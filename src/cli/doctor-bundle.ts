/** `holdfast doctor --bundle FILE`: one file for those who help, with the list of what is in it. */
import type { AgentConfig } from '#agent/config.ts';
import type { Finding } from '#agent/finding.ts';
import { type SupportBundle, supportBundle } from '#agent/support-bundle.ts';
import { ok, type Result } from '#errors/fault.ts';
import type { CliContext } from './context.ts';
import { EXIT, exitCodeOf } from './exit.ts';
import { printed } from './local.ts';
import { resolvePath } from './paths.ts';
import { bytesText, columns, complain, type Format } from './render.ts';

const FILE_MODE = 0o600;

interface Input {
  readonly bundle: string;
  readonly output: Format;
  /** agent.yaml */
  readonly file: string;
  readonly config: AgentConfig | null;
  readonly findings: readonly Finding[];
}

export async function writeSupport(context: CliContext, input: Input): Promise<void> {
  const { platform, env, version, terminal } = context;
  const { file, config, findings, output } = input;
  const made = await supportBundle({
    platform,
    env,
    version: { ...version },
    file,
    config,
    findings,
  });
  const path = resolvePath(context, input.bundle);
  const wrote = write(context, path, made.bytes);
  if (!wrote.ok) {
    complain(terminal, wrote.fault);
    return context.exit(exitCodeOf(wrote.fault.code));
  }
  const { entries, redacted, bytes } = made;
  const view = { file: path, bytes: bytes.length, redacted, entries };
  terminal.out(
    printed(output, view, { text: () => listText(path, made), name: () => `${path}\n` }),
  );
  context.exit(EXIT.done);
}

/** A file that is there stays. */
function write({ platform }: CliContext, path: string, bytes: Uint8Array): Result<void> {
  const cut = path.lastIndexOf('/');
  const folder = platform.files.open(path.slice(0, cut) || '/', { follow: true });
  if (!folder.ok) return folder;
  const wrote = folder.value.write(path.slice(cut + 1), bytes, FILE_MODE);
  folder.value.close();
  return wrote.ok ? ok(undefined) : wrote;
}

function listText(path: string, { entries, redacted, bytes }: SupportBundle): string {
  const rows = entries.map(({ name, bytes: size, missing }) => [
    name,
    missing === '' ? bytesText(size) : '–',
    missing,
  ]);
  const head = columns(['IN IT', 'SIZE', ''], rows);
  const places = redacted === 1 ? '1 place was' : `${redacted} places were`;
  return `${head}\n${path}, ${bytesText(bytes.length)}. ${places} redacted; look through it before you send it:\n  tar -xzf ${path}\n`;
}
