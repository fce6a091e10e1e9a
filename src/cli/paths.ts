/** Paths that a person gave, as absolute ones. */
import type { CliContext } from './context.ts';

/** Against the working directory of the command, as the shell means it. */
export function resolvePath({ cwd }: Pick<CliContext, 'cwd'>, path: string): string {
  const parts = path.startsWith('/') ? [] : cwd.split('/');
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..') parts.pop();
    else parts.push(part);
  }
  return `/${parts.filter((part) => part !== '').join('/')}`;
}
