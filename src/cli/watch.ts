/**
 * `-w`: asks the agent again and prints what is new, until it is interrupted. An agent that is not
 * there (a restart, an update of itself) is told once and waited for.
 */
import type { Route } from '#control/api.ts';
import { type Asked, ask } from '#control/client.ts';
import type { CliContext } from './context.ts';
import { EXIT } from './exit.ts';
import { complain } from './render.ts';

/** ms between two questions over a unix socket */
const EVERY_MS = 500;

export interface Watching<T> {
  readonly runDir: string;
  readonly route: Route;
  /** made anew for each question: what was seen already is not asked for again */
  asked(): Asked;
  /** Prints what is new. */
  seen(value: T): void;
}

export async function watch<T>(
  context: CliContext,
  { runDir, route, asked, seen }: Watching<T>,
): Promise<void> {
  const { platform, terminal } = context;
  const abort = new AbortController();
  const unsubscribe = context.onSignal('stop', () => abort.abort());
  let told = '';
  while (!abort.signal.aborted) {
    const answer = await ask<T>(platform.http, runDir, route, { ...asked(), signal: abort.signal });
    if (answer.ok) {
      told = '';
      seen(answer.value);
    } else if (!abort.signal.aborted && told !== answer.fault.code) {
      told = answer.fault.code;
      complain(terminal, answer.fault, 'warning');
    }
    await platform.clock.sleep(EVERY_MS, abort.signal);
  }
  unsubscribe();
  context.exit(EXIT.done);
}

/** Prints a view again only when more of it than its ages has changed. */
export function whenChanged<T>(
  print: (value: T) => void,
  steady: (value: T) => unknown,
): (value: T) => void {
  let before = '';
  return (value) => {
    const now = JSON.stringify(steady(value));
    if (now === before) return;
    before = now;
    print(value);
  };
}

/** Numbers that grow by themselves are no news. */
export function withoutAges(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (key, part: unknown) =>
      key === 'upMs' || key === 'nextLookInMs' || key === 'lastLook' ? undefined : part,
    ),
  );
}
