/** `holdfast prepare-image`: before a disk is copied as a golden image. The agent must not run. */
import type { Command } from 'commander';
import { readConfig } from '#agent/config.ts';
import { prepareImage } from '#agent/golden-image.ts';
import type { CliContext } from './context.ts';
import { exitCodeOf } from './exit.ts';
import { resolvePath } from './paths.ts';
import { complain } from './render.ts';

const CONFIG = '/etc/holdfast/agent.yaml';

export function registerPrepareImage(program: Command, context: CliContext): void {
  program
    .command('prepare-image')
    .description(
      'removes identity and outbox, so that copies of this disk become devices of their own',
    )
    .option('-c, --config <file>', 'agent.yaml', context.env.HOLDFAST_CONFIG ?? CONFIG)
    .action((options: { readonly config: string }) => {
      const { platform, terminal } = context;
      const config = readConfig(platform.files, resolvePath(context, options.config));
      const done = config.ok ? prepareImage(platform, config.value.stateDir) : config;
      if (done.ok)
        return terminal.out(
          'This disk can be copied now: each copy makes an identity of its own.\n',
        );
      complain(terminal, done.fault);
      context.exit(exitCodeOf(done.fault.code));
    });
}
