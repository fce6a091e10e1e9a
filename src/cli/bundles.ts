/**
 * `holdfast bundles`: what lies in the watched directories and what became of it; and `holdfast consent`:
 * lets one of them in, where the owner wants a person to (`bundles.consent: ask`). What is applied is
 * what was shown: a stick that says something else by then is not.
 */
import type { Command } from 'commander';
import type { BundleView } from '#control/api.ts';
import { ask } from '#control/client.ts';
import { type Fault, fault, ok, type Result, refused } from '#errors/fault.ts';
import { act } from './apply.ts';
import type { CliContext } from './context.ts';
import { EXIT, exitCodeOf } from './exit.ts';
import { type LocalOptions, local, show } from './local.ts';
import { resolvePath } from './paths.ts';
import { planText } from './plan.ts';
import { complain, type Painter, painter } from './render.ts';

interface ConsentOptions extends LocalOptions {
  readonly yes?: true;
}

export function registerBundles(program: Command, context: CliContext): void {
  local(program, 'bundles', 'what lies in the watched directories, and what it would change')
    .option('-q, --quiet', 'say nothing where nothing waits for consent')
    .action(async (options: LocalOptions & { readonly quiet?: true }) => {
      const paint = painter(context.terminal);
      const told = await show<readonly BundleView[]>(context, options, 'bundles', {
        text: (list) =>
          options.quiet === true && !list.some(isOffered) ? '' : bundlesText(list, paint),
        name: (list) => list.map(({ path }) => `${path}\n`).join(''),
      });
      if (told?.some(isOffered)) context.exit(EXIT.differs);
    });
  local(program, 'consent', 'apply a bundle that waits for somebody to say so')
    .argument('[path]', 'which; without it: the only one')
    .option('-y, --yes', 'does not ask')
    .action((path: string | undefined, options: ConsentOptions) => consent(context, path, options));
}

async function consent(
  context: CliContext,
  named: string | undefined,
  options: ConsentOptions,
): Promise<void> {
  const { terminal } = context;
  const path = named === undefined ? null : resolvePath(context, named);
  const shown = await offeredOne(context, options, path);
  if (!shown.ok) return failed(context, shown.fault);
  terminal.err(bundleText(shown.value, painter(terminal)));
  if (options.yes !== true) {
    const answer = await terminal.ask('Apply it? [y/N] ');
    if (!/^y(es)?$/i.test(answer?.trim() ?? '')) {
      return failed(context, fault('control.not-confirmed', { what: shown.value.path }));
    }
  }
  const now = await offeredOne(context, options, shown.value.path);
  if (!now.ok) return failed(context, now.fault);
  if (textOf(now.value) !== textOf(shown.value)) {
    const { path, point } = now.value;
    return failed(context, fault('agent.bundle-changed', { path, now: point ?? 'nothing' }));
  }
  await act(context, options, 'apply', { bundle: now.value.path });
}

/** Point and plan: what a person agreed to. */
function textOf({ more, ...first }: BundleView): string {
  const offers = [first, ...more];
  return JSON.stringify(
    offers.map(({ channel, point, plan }) => [channel, point, plan?.steps, plan?.applied]),
  );
}

async function offeredOne(
  { platform }: CliContext,
  { runDir }: LocalOptions,
  path: string | null,
): Promise<Result<BundleView>> {
  const list = await ask<readonly BundleView[]>(platform.http, runDir, 'bundles', {});
  if (!list.ok) return list;
  const offered = list.value.filter(isOffered);
  const [one, ...more] = offered.filter((bundle) => path === null || bundle.path === path);
  if (one && more.length === 0) return ok(one);
  const known = offered.map((bundle) => bundle.path).join(', ') || 'none';
  return refused(fault('agent.no-consent', { path: path ?? 'no path was named', known }));
}

function isOffered({ state }: BundleView): boolean {
  return state === 'offered';
}

function failed({ terminal, exit }: CliContext, why: Fault): void {
  complain(terminal, why);
  exit(exitCodeOf(why.code));
}

function bundlesText(list: readonly BundleView[], paint: Painter): string {
  if (list.length === 0) return 'Nothing that could be a bundle lies in a watched directory.\n';
  return list.map((bundle) => bundleText(bundle, paint)).join('\n');
}

const SAYS: Readonly<Record<BundleView['state'], string>> = {
  copying: 'is not read before it stays the same',
  reading: 'is being read',
  offered: 'waits for consent: holdfast consent',
  applied: 'was applied',
  current: 'holds what is applied already',
  refused: 'is refused',
  waiting: 'waits',
  nothing: 'holds nothing for this device',
};

function bundleText(bundle: BundleView, paint: Painter): string {
  const { path, state, channel, point, fault: why, plan, more, nextReadMs } = bundle;
  const what = `${channel} ${point ?? ''}`.trim();
  const says = why ? paint.warn(SAYS[state]) : SAYS[state];
  const again = nextReadMs === null ? '' : ` (read again in ${Math.ceil(nextReadMs / 1000)} s)`;
  const head = `${paint.strong(path)}  ${what === '' ? '' : `${what} `}${says}${again}\n`;
  const cure = why ? `  ${why.code}: ${why.message}\n  ${paint.dim('→')} ${why.remedy}\n` : '';
  const others = more.map((one) => `  and ${one.channel} ${one.point}\n${planned(one, paint)}`);
  return head + cure + planned({ plan }, paint) + others.join('');
}

function planned({ plan }: Pick<BundleView, 'plan'>, paint: Painter): string {
  if (!plan) return '';
  const text = plan.result === 'values' ? 'new values of this device\n' : planText(plan, paint);
  return text.replaceAll(/^(?=.)/gm, '  ');
}
