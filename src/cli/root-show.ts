/** `holdfast root show` and `root diff`: a root as it is, and what changes to the next. */
import type { Command } from 'commander';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Fleet } from '#publisher/fleet.ts';
import { openDraft, openRequest } from '#publisher/root-making.ts';
import type { Root } from '#state/root.ts';
import type { CliContext } from './context.ts';
import { EXIT } from './exit.ts';
import { type FleetOptions, finish, fleetCommand, openFleetOf } from './fleet-command.ts';
import {
  type DiffView,
  diffOf,
  diffText,
  draftDiff,
  type RootView,
  rootText,
  rootView,
} from './root-view.ts';

interface ShowView extends RootView {
  /** of the next version: what has been begun */
  readonly next: 'nothing' | 'draft' | 'request';
}

export function registerRootShow(root: Command, context: CliContext): void {
  fleetCommand(root, 'show', 'keys, roles, channels and epochs of a root')
    .argument('[version]', 'default: the newest')
    .action((version: string | undefined, options: FleetOptions) => {
      finish(context, options.output, show(context, version, options), {
        text: (view) => {
          const next =
            view.next === 'nothing'
              ? ''
              : `\nVersion ${view.version + 1} is a ${view.next} so far.\n`;
          return `${rootText(context, view)}${next}`;
        },
        name: ({ version: shown }) => `root/${shown}\n`,
      });
    });
  fleetCommand(root, 'diff', 'what changes from one root to another; exit code 1 when it does')
    .argument('[from]', 'a version; default: the newest')
    .argument('[to]', 'a version; default: the draft, else what is to be signed')
    .action((from: string | undefined, to: string | undefined, options: FleetOptions) => {
      finish(context, options.output, diff(context, { from, to }, options), {
        text: (view) => diffText(context, view),
        name: ({ changes }) => changes.map(({ what, name }) => `${what}/${name}\n`).join(''),
        code: ({ changes }) => (changes.length === 0 ? EXIT.done : EXIT.differs),
      });
    });
}

function show(
  context: CliContext,
  version: string | undefined,
  options: FleetOptions,
): Result<ShowView> {
  const fleet = openFleetOf(context, options);
  if (!fleet.ok) return fleet;
  const root = version === undefined ? ok(fleet.value.root) : rootNamed(fleet.value, version);
  if (!root.ok) return root;
  const { files } = context.platform;
  const draft = openDraft(files, fleet.value);
  if (!draft.ok) return draft;
  const request = openRequest(files, fleet.value);
  if (!request.ok) return request;
  const newest = root.value === fleet.value.root;
  const next = request.value ? 'request' : draft.value ? 'draft' : 'nothing';
  const view = rootView(root.value, fleet.value.time.estimateMs);
  return ok({ ...view, next: newest ? next : 'nothing' });
}

function diff(
  context: CliContext,
  named: { readonly from: string | undefined; readonly to: string | undefined },
  options: FleetOptions,
): Result<DiffView> {
  const opened = openFleetOf(context, options);
  if (!opened.ok) return opened;
  const fleet = opened.value;
  const from = named.from === undefined ? ok(fleet.root) : rootNamed(fleet, named.from);
  if (!from.ok) return from;
  if (named.to !== undefined) {
    const to = rootNamed(fleet, named.to);
    return to.ok ? ok(diffOf(from.value, to.value)) : to;
  }
  if (from.value !== fleet.root) return ok(diffOf(from.value, fleet.root));
  const { files } = context.platform;
  const draft = openDraft(files, fleet);
  if (!draft.ok) return draft;
  if (draft.value) return ok(draftDiff(context.platform, fleet, draft.value));
  const request = openRequest(files, fleet);
  if (!request.ok) return request;
  if (request.value) return ok(diffOf(fleet.root, request.value.root));
  // nothing is being made: what the newest one brought
  const before = fleet.chain.at(-2)?.root;
  return ok(diffOf(before ?? fleet.root, fleet.root));
}

function rootNamed({ chain }: Fleet, version: string): Result<Root> {
  const link = chain.find(({ root }) => `${root.version}` === version);
  if (link) return ok(link.root);
  const known = `1 to ${chain.length}`;
  return refuse('publish.option', { option: 'version', reason: `${version} is not ${known}` });
}
