/** `holdfast verify` and `inspect`: a bundle or a reference in the registry, judged or just shown. */
import type { Command } from 'commander';
import { ok, type Result, refuse } from '#errors/fault.ts';
import { channelNames } from '#publisher/channel-names.ts';
import { authorityOf, type Fleet } from '#publisher/fleet.ts';
import { openBundle, registryShelf, type Shelf } from '#publisher/shelf.ts';
import { type Judged, verifyShelf } from '#publisher/verify.ts';
import { isId } from '#state/names.ts';
import { pointText } from '#state/point.ts';
import { deviceOfChannel } from '#state/values.ts';
import type { CliContext } from './context.ts';
import { EXIT } from './exit.ts';
import {
  bundleName,
  type FleetOptions,
  finish,
  fleetCommand,
  openFleetOf,
  withRegistry,
} from './fleet-command.ts';
import { columns, painter, shortDigest } from './render.ts';

interface VerifyFlags extends FleetOptions {
  readonly channel?: string;
}

interface VerifyView {
  readonly source: string;
  readonly artifacts: readonly ArtifactView[];
}

interface ArtifactView {
  readonly manifestDigest: string;
  readonly channel: string;
  readonly point: string;
  readonly verified: boolean;
  readonly fault: {
    readonly code: string;
    readonly message: string;
    readonly remedy: string;
  } | null;
  readonly checks: Judged['checks'];
}

export function registerVerify(program: Command, context: CliContext): void {
  fleetCommand(program, 'verify', 'checks an artifact against the root; needs no agent')
    .argument('<what>', 'oci:DIR, oci-archive:FILE, or a tag or digest in the registry')
    .option('--channel <name>', 'it must be signed for this channel')
    .action(async (what: string, options: VerifyFlags) => {
      finish(context, options.output, await verify(context, what, options), {
        text: (view) => verifyText(context, view),
        name: verifyName,
        code: ({ artifacts }) =>
          artifacts.every(({ verified }) => verified) ? EXIT.done : EXIT.refusedByTrust,
      });
    });
}

/** Runs `work` on a bundle, or on a reference in the fleet's registry. */
export function withShelf<T>(
  context: CliContext,
  fleet: Fleet,
  what: string,
  work: (shelf: Shelf) => Promise<Result<T>>,
): Promise<Result<T>> {
  if (what.startsWith('oci:') || what.startsWith('oci-archive:')) {
    const shelf = openBundle(context.platform.files, bundleName(context, what));
    return shelf.ok ? work(shelf.value) : Promise.resolve(shelf);
  }
  return withRegistry(context, fleet, ({ registry }) => work(registryShelf(registry, what)));
}

async function verify(
  context: CliContext,
  what: string,
  options: VerifyFlags,
): Promise<Result<VerifyView>> {
  const fleet = openFleetOf(context, options);
  if (!fleet.ok) return fleet;
  const channels =
    options.channel === undefined ? judgedAs(context, fleet.value, what) : [options.channel];
  const authorities = channels.map((channel) => authorityOf(fleet.value, channel));
  return withShelf(context, fleet.value, what, async (shelf) => {
    const judged = await verifyShelf(shelf, authorities);
    if (!judged.ok) return judged;
    if (judged.value.length === 0) {
      const channel = options.channel ?? 'any channel';
      return refuse('publish.nothing-signed', { channel, where: shelf.name });
    }
    return ok({ source: shelf.name, artifacts: judged.value.map(artifactView) });
  });
}

/** Those of the root; of devices those that this folder knows, and the one that is asked for. */
function judgedAs(context: CliContext, fleet: Fleet, what: string): readonly string[] {
  const known = channelNames(context.platform.files, fleet);
  const [asked = ''] = what.split('_');
  return [
    ...new Set([
      ...fleet.root.channels.map(({ name }) => name),
      ...(known.ok ? known.value : []),
      ...(deviceOfChannel(asked) === null ? [] : [asked]),
    ]),
  ].filter(isId);
}

function artifactView({ manifestDigest, channel, state, checks, fault }: Judged): ArtifactView {
  return {
    manifestDigest,
    channel,
    point: state ? pointText(state.point) : '',
    verified: fault === null,
    fault: fault && { code: fault.code, message: fault.message, remedy: fault.remedy },
    checks,
  };
}

function verifyText(context: CliContext, { source, artifacts }: VerifyView): string {
  const paint = painter(context.terminal);
  return artifacts
    .map((artifact) => {
      const what = `${artifact.channel} ${artifact.point} ${shortDigest(artifact.manifestDigest)}`;
      const rows = artifact.checks.map((check) => [
        `${check.number}`.padStart(2),
        check.name,
        check.passed ? paint.good('passed') : paint.bad('failed'),
        check.compared,
      ]);
      const verdict = artifact.fault
        ? `${paint.bad('refused')} ${what}\n${artifact.fault.code}: ${artifact.fault.message}\n${paint.dim('→')} ${artifact.fault.remedy}\n`
        : `${paint.good('verified')} ${what}\n`;
      return `${source}\n${columns(['CHECK', '', '', 'COMPARED'], rows)}${verdict}`;
    })
    .join('\n');
}

function verifyName({ artifacts }: VerifyView): string {
  return artifacts
    .map(
      ({ channel, point, verified }) =>
        `${channel}/${point} ${verified ? 'verified' : 'refused'}\n`,
    )
    .join('');
}
