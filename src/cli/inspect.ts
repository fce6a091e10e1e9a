/** `holdfast inspect`: what an artifact says of itself. Nothing is verified: `holdfast verify` is. */
import type { Command } from 'commander';
import { ok, type Result, refuse } from '#errors/fault.ts';
import { type Shown, showShelf } from '#publisher/verify.ts';
import { pointText } from '#state/point.ts';
import type { CliContext } from './context.ts';
import { type FleetOptions, finish, fleetCommand, openFleetOf } from './fleet-command.ts';
import { bytesText, columns, painter, pairs, shortDigest } from './render.ts';
import { withShelf } from './verify.ts';

/** Numbers that JSON cannot hold are text. */
interface InspectView {
  readonly manifestDigest: string;
  readonly stateDigest: string;
  readonly fleet: string;
  readonly channel: string;
  readonly point: string;
  readonly previousDigest: string | null;
  readonly promotedFrom: string | null;
  readonly issuedAt: string;
  readonly notAfter: string | null;
  readonly rootVersion: string;
  readonly audience: Shown['state']['audience'];
  readonly allowRemoval: string;
  readonly keyids: readonly string[];
  readonly deployments: Shown['state']['deployments'];
  readonly blobs: Shown['state']['blobs'];
}

export function registerInspect(program: Command, context: CliContext): void {
  fleetCommand(program, 'inspect', 'shows what an artifact says of itself, unverified')
    .argument('<what>', 'oci:DIR, oci-archive:FILE, or a tag or digest in the registry')
    .action(async (what: string, options: FleetOptions) => {
      finish(context, options.output, await inspect(context, what, options), {
        text: (views) => views.map((view) => inspectText(context, view)).join('\n'),
        name: (views) => views.map(({ channel, point }) => `${channel}/${point}\n`).join(''),
      });
    });
}

async function inspect(
  context: CliContext,
  what: string,
  options: FleetOptions,
): Promise<Result<readonly InspectView[]>> {
  const fleet = openFleetOf(context, options);
  if (!fleet.ok) return fleet;
  return withShelf(context, fleet.value, what, async (shelf) => {
    const shown = await showShelf(shelf);
    if (!shown.ok) return shown;
    if (shown.value.length === 0) {
      return refuse('publish.nothing-signed', { channel: 'any channel', where: shelf.name });
    }
    return ok(shown.value.map(viewOf));
  });
}

function viewOf({ manifestDigest, state, keyids }: Shown): InspectView {
  const { point, policy } = state;
  return {
    manifestDigest,
    stateDigest: point.digest,
    fleet: state.fleet,
    channel: state.channel,
    point: pointText(point),
    previousDigest: state.previousDigest,
    promotedFrom: state.promotedFrom,
    issuedAt: new Date(state.issuedAt).toISOString(),
    notAfter: state.notAfter === 0 ? null : new Date(state.notAfter).toISOString(),
    rootVersion: `${state.rootVersion}`,
    audience: state.audience,
    allowRemoval: `${policy.allowRemoval}`,
    keyids,
    deployments: state.deployments,
    blobs: state.blobs,
  };
}

function inspectText(context: CliContext, view: InspectView): string {
  const paint = painter(context.terminal);
  const blobs = view.blobs.map(({ name, size, digest, mediaType }) => [
    name,
    bytesText(size),
    shortDigest(digest),
    mediaType,
  ]);
  const deployments = view.deployments.map(({ id, digest }) => [id, shortDigest(digest)]);
  return `${paint.strong(`${view.channel} ${view.point}`)} ${paint.warn('(not verified)')}
${pairs([
  ['state digest', view.stateDigest],
  ['manifest digest', view.manifestDigest],
  ['fleet', view.fleet],
  ['issued', view.issuedAt],
  ['ends', view.notAfter ?? 'never'],
  ['previous', view.previousDigest ?? '–'],
  ['promoted from', view.promotedFrom ?? '–'],
  ['audience', JSON.stringify(view.audience)],
  ['signed by', view.keyids.map((keyid) => keyid.slice(0, 16)).join(', ')],
])}
${columns(['DEPLOYMENT', 'DOCUMENT'], deployments)}
${columns(['BLOB', 'SIZE', 'DIGEST', 'TYPE'], blobs)}`;
}
