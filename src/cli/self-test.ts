/** `holdfast self-test`: does this executable work on this machine? Needs no agent. */
import type { Command } from 'commander';
import type { SelfTestRow } from '#agent/self-test.ts';
import type { CliContext } from './context.ts';
import { EXIT, exitCodeOf } from './exit.ts';
import { versionLine } from './version.ts';

export function registerSelfTest(program: Command, context: CliContext): void {
  program
    .command('self-test')
    .description('check that this executable works on this machine; changes nothing')
    .option('--directory <path>', 'where to try the store', context.env.TMPDIR ?? '/tmp')
    .option('-q, --quiet', 'print what failed, nothing else')
    .action(async (options: { directory: string; quiet?: true }) => {
      const { selfTest } = await import('#agent/self-test.ts');
      const rows = await selfTest(context.platform, options.directory);
      if (options.quiet === undefined) context.terminal.out(`${versionLine(context.version)}\n`);
      for (const row of rows) {
        if (row.fault !== null) context.terminal.err(line(row));
        else if (options.quiet === undefined) context.terminal.out(line(row));
      }
      const failed = rows.find(({ fault }) => fault !== null)?.fault ?? null;
      context.exit(failed === null ? EXIT.done : exitCodeOf(failed.code));
    });
}

function line({ name, fault, tookMs }: SelfTestRow): string {
  const left = name.padEnd(12);
  if (fault === null) return `ok      ${left} ${tookMs.toFixed(1)} ms\n`;
  return `failed  ${left} ${fault.code}: ${fault.message}\n        ${fault.remedy}\n`;
}
