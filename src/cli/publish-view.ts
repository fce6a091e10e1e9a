/** How a signed or published state is shown, and what is asked before one is signed. */
import { type Fleet, fleetChannel } from '#publisher/fleet.ts';
import type { Head } from '#publisher/head.ts';
import type { MargoForms } from '#publisher/margo-oci.ts';
import type { SignOptions } from '#publisher/publish.ts';
import type { PushEvent } from '#publisher/push.ts';
import { endsSoon } from '#publisher/root-ends.ts';
import { pointText } from '#state/point.ts';
import type { CliContext } from './context.ts';
import { passphrasesOf } from './fleet-command.ts';
import { progressBar } from './progress.ts';
import { bytesText, complain, painter, shortDigest } from './render.ts';

export interface SignFlags {
  readonly allowRemoval: boolean;
  readonly renew: boolean;
}

export interface PublishedView {
  readonly channel: string;
  /** epoch.sequence */
  readonly point: string;
  readonly stateDigest: string;
  readonly manifestDigest: string;
  readonly deployments: number;
  readonly signed: 'now' | 'before' | 'elsewhere' | 'waiting';
  /** where it waits: the signatures there are, those it needs, its folder */
  readonly got?: number;
  readonly threshold?: number;
  readonly folder?: string;
  /** where it went; empty: nowhere yet */
  readonly to: string;
  readonly moved: boolean;
  readonly nudged: boolean;
  /** the nudge held the whole state */
  readonly carried: boolean;
  /** the OCI form of Margo: devices with an image, and how many of them changed now */
  readonly margoOci?: MargoForms;
}

export function viewOf(
  { state, manifestDigest }: Pick<Head, 'state'> & { readonly manifestDigest: string },
  more: Pick<PublishedView, 'signed'> & Partial<PublishedView>,
): PublishedView {
  return {
    channel: state.channel,
    point: pointText(state.point),
    stateDigest: state.point.digest,
    manifestDigest,
    deployments: state.deployments.length,
    to: '',
    moved: false,
    nudged: false,
    carried: false,
    ...more,
  };
}

export function publishedText(context: CliContext, view: PublishedView): string {
  const paint = painter(context.terminal);
  const what = `${view.channel} ${paint.strong(view.point)} ${shortDigest(view.stateDigest)}`;
  if (view.signed === 'waiting') {
    const { got = 0, threshold = 0, folder = '' } = view;
    return `${what}  waits: ${got} of ${threshold} signatures\n  holdfast pae ${folder} --out FILE\n`;
  }
  const signed = { now: 'signed', before: 'signed before', elsewhere: 'unchanged' }[view.signed];
  const nudged = view.carried ? ', pushed over MQTT' : view.nudged ? ', nudged' : '';
  const where = view.to === '' ? '' : view.moved ? ` → ${view.to}` : `, there already: ${view.to}`;
  const { margoOci } = view;
  const forms = margoOci
    ? `  OCI form of Margo: ${margoOci.devices} devices, ${margoOci.moved} changed\n`
    : '';
  return `${what}  ${signed}${where}${nudged}\n${forms}`;
}

export function publishedName({ channel, point }: PublishedView): string {
  return `${channel}/${point}\n`;
}

/** What ends soon is a warning, and no reason to stop: the next root may be on its way. */
export function warnOfEnds(context: CliContext, fleet: Fleet, channel: string): void {
  const known = fleetChannel(fleet, channel);
  if (!known.ok) return;
  for (const why of endsSoon(context.platform, fleet, known.value)) {
    complain(context.terminal, why, 'warning');
  }
}

/** What is removed is shown and asked for; `-y` does not answer it. */
export function signOptions(context: CliContext, flags: SignFlags): SignOptions {
  const { terminal } = context;
  const paint = painter(terminal);
  return {
    passphrases: passphrasesOf(context),
    renew: flags.renew,
    async confirmRemoval(channel, removed) {
      const list = removed.map((id) => `  ${paint.bad('-')} ${id}\n`).join('');
      terminal.err(`${channel} loses ${removed.length} of its deployments:\n${list}`);
      if (flags.allowRemoval) return true;
      const answer = await terminal.ask('Remove them from every device of the channel? [y/N] ');
      return /^y(es)?$/i.test(answer?.trim() ?? '');
    },
  };
}

/** A bar while blobs travel. */
export function pushReporter(context: CliContext): {
  report(event: PushEvent): void;
  end(): void;
} {
  const bar = progressBar(context.terminal);
  let total = 0;
  return {
    report(event) {
      if (event.kind === 'blobs') {
        total = event.bytes;
        const { missing, bytes } = event;
        context.terminal.err(`${missing} of ${event.total} blobs to push, ${bytesText(bytes)}\n`);
      } else if (event.kind === 'sent') {
        const line = {
          kind: 'progress',
          phase: 'pushing',
          what: '',
          done: event.bytes,
          total,
        } as const;
        bar.update(line);
      }
    },
    end: () => bar.end(),
  };
}
