/** `holdfast doctor`: config, clock, disk, link, trust. Works without an agent; changes nothing. */
import { type Command, Option } from 'commander';
import { doctor } from '#agent/doctor.ts';
import { type Finding, type Severity, wrong } from '#agent/finding.ts';
import { readEffective } from '#agent/own-configuration.ts';
import type { CliContext } from './context.ts';
import { writeSupport } from './doctor-bundle.ts';
import { EXIT } from './exit.ts';
import { printed } from './local.ts';
import { resolvePath } from './paths.ts';
import { columns, FORMATS, type Format, type Painter, painter } from './render.ts';

interface Options {
  readonly config: string;
  readonly bundle?: string;
  readonly output: Format;
}

const CONFIG = '/etc/holdfast/agent.yaml';
const MARKS: Readonly<Record<Severity, string>> = {
  ok: '✓',
  note: '·',
  warning: '!',
  error: '✗',
};

export function registerDoctor(program: Command, context: CliContext): void {
  program
    .command('doctor')
    .description('what is wrong with configuration, clock, disk, link and trust, and what to do')
    .option('-c, --config <file>', 'agent.yaml', context.env.HOLDFAST_CONFIG ?? CONFIG)
    .option('--bundle <file>', 'writes what helpers need into one file, without secrets')
    .addOption(new Option('-o, --output <format>').choices([...FORMATS]).default('text'))
    .action((options: Options) => run(context, options));
}

async function run(context: CliContext, options: Options): Promise<void> {
  const { platform, terminal, version } = context;
  const file = resolvePath(context, options.config);
  const config = readEffective(platform.files, file);
  const findings = config.ok
    ? await doctor({
        ...{ platform, ...config.value, buildTime: version.buildTime },
        ...{ env: context.env, executable: context.executable },
      })
    : [wrong('configuration', config.fault)];
  if (options.bundle !== undefined) {
    const { bundle, output } = options;
    const read = config.ok ? config.value.config : null;
    return writeSupport(context, { bundle, output, file, config: read, findings });
  }
  terminal.out(
    printed(options.output, findings, {
      text: (rows) => findingsText(rows, painter(terminal)),
      name: (rows) => rows.map(({ about, severity }) => `${severity}/${about}\n`).join(''),
    }),
  );
  const ill = findings.some(({ severity }) => severity === 'error');
  context.exit(ill ? EXIT.usage : EXIT.done);
}

function findingsText(findings: readonly Finding[], paint: Painter): string {
  const rows = findings.map(({ about, severity, code, message, remedy }) => {
    const mark = MARKS[severity];
    const painted =
      severity === 'ok'
        ? paint.good(mark)
        : severity === 'error'
          ? paint.bad(mark)
          : paint.warn(mark);
    const text = code === '' ? message : `${code}: ${message}`;
    return [painted, about, remedy === '' ? text : `${text}\n→ ${remedy}`];
  });
  return columns(['', '', ''], rows).replace(/^\n/, '');
}
