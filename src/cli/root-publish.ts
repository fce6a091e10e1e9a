/** `holdfast root publish` and `root pull`: the next root comes out, and in from other desks. */
import type { Command } from 'commander';
import { type Fault, ok, type Result, refuse } from '#errors/fault.ts';
import { channelNames, ordinaryNames } from '#publisher/channel-names.ts';
import type { Fleet } from '#publisher/fleet.ts';
import { type OpenRegistry, openFleetRegistry } from '#publisher/line.ts';
import { acceptRequest, judgePublished } from '#publisher/root-accept.ts';
import { newestOf } from '#publisher/root-lint.ts';
import { pullRoots } from '#publisher/root-pull.ts';
import { type BringUp, bringUpChannel, bringUpFolder } from '#publisher/root-push.ts';
import { openBundle, registryShelf, type Shelf } from '#publisher/shelf.ts';
import { type Digest, parseDigest } from '#state/digest.ts';
import type { CliContext } from './context.ts';
import { EXIT } from './exit.ts';
import {
  bundleName,
  codeOf,
  type FleetOptions,
  finish,
  fleetCommand,
  openFleetOf,
  passphrasesOf,
  withRegistry,
} from './fleet-command.ts';
import { afterPush } from './publish.ts';
import { type PublishedView, publishedText, pushReporter, viewOf } from './publish-view.ts';
import { painter } from './render.ts';
import { type DiffView, diffOf, diffText } from './root-view.ts';

interface PublishFlags extends FleetOptions {
  readonly adopt: readonly string[];
  readonly anchor: boolean;
  readonly nudge: boolean;
  readonly push: boolean;
}

interface ChannelOutcome {
  readonly channel: string;
  /** null: nothing of it was ever published, or see `fault` */
  readonly published: PublishedView | null;
  readonly fault: Pick<Fault, 'code' | 'message' | 'remedy'> | null;
}

interface RootPublishedView {
  readonly version: number;
  /** false: it was out before, this run went on with the channels */
  readonly fresh: boolean;
  /** devices must be given root/VERSION.root.json by hand */
  readonly anchored: boolean;
  readonly channels: readonly ChannelOutcome[];
}

export function registerRootPublish(root: Command, context: CliContext): void {
  fleetCommand(root, 'publish', 'makes the signed request the root, and brings every channel to it')
    .option(
      '--adopt <digest...>',
      'a head by keys that are gone, which you know: sign it again',
      [],
    )
    .option('--anchor', 'too few former root keys are left: devices get the file by hand', false)
    .option('--no-nudge', 'devices find it when they poll')
    .option('--push', 'nudges carry all of it, for devices that reach only the broker', false)
    .action(async (options: PublishFlags) => {
      finish(context, options.output, await publish(context, options), {
        text: (view) => publishText(context, view),
        name: ({ version }) => `root/${version}\n`,
        code: ({ channels }) =>
          channels.map(({ fault }) => codeOf(fault)).find((c) => c) ?? EXIT.done,
      });
    });
  fleetCommand(root, 'pull', 'fetches roots that another desk has published')
    .option('--from <bundle>', 'oci:DIR or oci-archive:FILE instead of the registry')
    .action(async (options: FleetOptions & { readonly from?: string }) => {
      finish(context, options.output, await pull(context, options), {
        text: (views) => views.map((view) => diffText(context, view)).join('\n') || 'nothing new\n',
        name: (views) => views.map(({ to }) => `root/${to}\n`).join(''),
      });
    });
}

async function publish(
  context: CliContext,
  options: PublishFlags,
): Promise<Result<RootPublishedView>> {
  const before = openFleetOf(context, options);
  if (!before.ok) return before;
  const adopted = digests(options.adopt);
  if (!adopted.ok) return adopted;
  const open = openFleetRegistry(context.platform, before.value);
  try {
    const published = open ? await judgePublished(before.value, open.registry) : ok();
    if (!published.ok) return published;
    const anchored = options.anchor;
    const accepted = acceptRequest(context.platform.files, before.value, { anchored });
    if (!accepted.ok) return accepted;
    const fleet = openFleetOf(context, options);
    if (!fleet.ok) return fleet;
    const how = { ...options, adopted: adopted.value, registry: open?.registry ?? null };
    return ok({
      version: Number(fleet.value.root.version),
      fresh: accepted.value !== null,
      anchored,
      channels: await bringUp(context, fleet.value, how),
    });
  } finally {
    open?.close();
  }
}

/** One channel after the other; one that fails does not keep the others from the new root. */
async function bringUp(
  context: CliContext,
  fleet: Fleet,
  how: PublishFlags & {
    readonly adopted: BringUp['adopted'];
    readonly registry: OpenRegistry['registry'] | null;
  },
): Promise<readonly ChannelOutcome[]> {
  const asked: BringUp = { passphrases: passphrasesOf(context), adopted: how.adopted };
  const outcomes: ChannelOutcome[] = [];
  const names = channelNames(context.platform.files, fleet);
  for (const channel of names.ok ? names.value : ordinaryNames(fleet)) {
    const done = how.registry
      ? await send(context, fleet, { ...how, channel, registry: how.registry, asked })
      : await keep(context, fleet, channel, asked);
    const fault = done.ok ? null : done.fault;
    outcomes.push({
      channel,
      published: done.ok ? done.value : null,
      fault: fault && { code: fault.code, message: fault.message, remedy: fault.remedy },
    });
  }
  return outcomes;
}

async function send(
  context: CliContext,
  fleet: Fleet,
  how: Pick<PublishFlags, 'nudge' | 'push'> & {
    readonly channel: string;
    readonly registry: OpenRegistry['registry'];
    readonly asked: BringUp;
  },
): Promise<Result<PublishedView | null>> {
  const { channel, registry, asked } = how;
  const { report, end } = pushReporter(context);
  const target = { channel, registry, report };
  const sent = await bringUpChannel(context.platform, fleet, target, asked);
  end();
  if (!sent.ok || !sent.value) return sent.ok ? ok(null) : sent;
  return ok(
    await afterPush(context, fleet, sent.value, { ...how, to: registry.name, roots: true }),
  );
}

async function keep(
  context: CliContext,
  fleet: Fleet,
  channel: string,
  asked: BringUp,
): Promise<Result<PublishedView | null>> {
  const kept = await bringUpFolder(context.platform, fleet, channel, asked);
  if (!kept.ok || !kept.value) return kept.ok ? ok(null) : kept;
  if (kept.value.kind !== 'signed') return ok(null);
  const { signed, fresh } = kept.value;
  return ok(viewOf(signed, { signed: fresh ? 'now' : 'before' }));
}

function publishText(context: CliContext, view: RootPublishedView): string {
  const paint = painter(context.terminal);
  const { version, fresh, anchored } = view;
  const head = fresh ? `root ${version} is made: root/${version}.root.json` : `root ${version}`;
  const lines = view.channels.map(({ channel, published, fault }) => {
    if (published) return publishedText(context, published);
    if (!fault) return `${channel}  nothing published yet\n`;
    return `${channel}  ${paint.bad(fault.code)}: ${fault.message}\n  ${paint.dim('→')} ${fault.remedy}\n`;
  });
  const byHand = anchored
    ? `Put root/${version}.root.json onto each device by hand (trust.root) and restart its agent.\n`
    : '';
  return `${head}\n${lines.join('')}${byHand}`;
}

function digests(texts: readonly string[]): Result<ReadonlySet<Digest>> {
  const found = new Set<Digest>();
  for (const text of texts) {
    const digest = parseDigest(text);
    if (!digest) {
      return refuse('publish.option', { option: '--adopt', reason: `${text} is no state digest` });
    }
    found.add(digest);
  }
  return ok(found);
}

async function pull(
  context: CliContext,
  options: FleetOptions & { readonly from?: string },
): Promise<Result<readonly DiffView[]>> {
  const fleet = openFleetOf(context, options);
  if (!fleet.ok) return fleet;
  const { files } = context.platform;
  if (options.from !== undefined) {
    const bundle = openBundle(files, bundleName(context, options.from));
    return bundle.ok ? pulled(context, fleet.value, [bundle.value]) : bundle;
  }
  return withRegistry(context, fleet.value, ({ registry }) => {
    const names = channelNames(files, fleet.value);
    if (!names.ok) return Promise.resolve(names);
    const shelves = names.value.map((name) => registryShelf(registry, name));
    return pulled(context, fleet.value, shelves);
  });
}

async function pulled(
  context: CliContext,
  fleet: Fleet,
  shelves: readonly Shelf[],
): Promise<Result<readonly DiffView[]>> {
  const links = await pullRoots(context.platform.files, fleet, shelves);
  if (!links.ok) return links;
  const roots = [newestOf(fleet.chain), ...links.value.map(({ root }) => root)];
  return ok(
    roots.slice(1).flatMap((root, index) => {
      const before = roots[index];
      return before ? [diffOf(before, root)] : [];
    }),
  );
}
