/** `holdfast hub` from source, for tests: argv as after `holdfast`. Prints as the command does. */
import { Command } from 'commander';
import type { CliContext } from '#cli/context.ts';
import { registerHub } from '#cli/hub.ts';
import { bunPlatform } from '#platform/bun/platform.ts';

const platform = bunPlatform({ logLevel: 'error', logFormat: 'human' });
const terminal = {
  interactive: false,
  colour: false,
  columns: 80,
  out: (text: string) => void process.stdout.write(text),
  err: (text: string) => void process.stderr.write(text),
  ask: () => Promise.resolve(null),
  askSecret: () => Promise.resolve(null),
};
const context = {
  platform,
  terminal,
  env: {},
  cwd: process.cwd(),
  executable: process.execPath,
  exit: (code: number) => process.exit(code),
  onSignal(_signal: 'stop' | 'reload', call: () => void) {
    process.on('SIGTERM', call);
    process.on('SIGINT', call);
    return () => undefined;
  },
} as unknown as CliContext;

const program = new Command('holdfast').exitOverride();
registerHub(program, context);
await program.parseAsync(process.argv.slice(2), { from: 'user' });
