/**
 * `holdfast root …`: who may sign what, and how that changes. Edits make a draft, `request` a file
 * that root keys sign wherever they are, `publish` the next root (docs/roots.md).
 */
import type { Command } from 'commander';
import type { CliContext } from './context.ts';
import { registerRootEdits } from './root-edit.ts';
import { registerRootPublish } from './root-publish.ts';
import { registerRootShow } from './root-show.ts';
import { registerRootSign } from './root-sign.ts';
import { registerRootTls } from './root-tls.ts';

export function registerRoot(program: Command, context: CliContext): void {
  const root = program
    .command('root')
    .description('the root document: who may sign what; edit, sign and publish the next one');
  registerRootShow(root, context);
  registerRootEdits(root, context);
  registerRootTls(root, context);
  registerRootSign(root, context);
  registerRootPublish(root, context);
}
