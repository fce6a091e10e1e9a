/**
 * What is told of the registries beside the last look: `status`, `explain` and metrics read it here.
 * A mirror that lags and one that fails are named with what they show and when they are asked again;
 * whether the device is well does not depend on them as long as one of them answers. Pure.
 */
import type { AlsoView, RegistryView } from '#control/api.ts';
import { FAULTS } from '#errors/fault.ts';
import { pointText } from '#state/point.ts';
import { durationText } from '#state/quantity.ts';
import type { ChannelStatus } from '#state/status.ts';
import { lagText, type MirrorState, type Mirrors, type SignedPoint } from './mirrors.ts';

/** In the order of the configuration. */
export function mirrorStates(
  mirrors: Pick<Mirrors, 'list'>,
  channels: readonly Pick<ChannelStatus, 'channel' | 'desired'>[],
): readonly MirrorState[] {
  const accepted = new Map<string, SignedPoint | null>(
    channels.map(({ channel, desired }) => [channel, desired]),
  );
  return mirrors.list((channel) => accepted.get(channel) ?? null);
}

export function registryViews(states: readonly MirrorState[]): readonly RegistryView[] {
  return states.map(({ name, state, fault, askedAt, restsForMs, channels }) => ({
    name,
    state: channels.some(({ lags }) => lags) && state === 'answers' ? 'lags' : state,
    fault: fault && { code: fault.code, message: fault.message, remedy: fault.remedy },
    askedAt,
    restsForMs: Math.round(restsForMs),
    channels: channels.map((shown) => ({
      channel: shown.channel,
      shows: pointText(shown.shows),
      behind: shown.lags ? lagText(shown) : null,
    })),
  }));
}

/** For `explain`: the verdict is about the device, this about each of its mirrors. */
export function mirrorsWrong(states: readonly MirrorState[]): readonly AlsoView[] {
  return states.flatMap((mirror) => [
    ...lagsOf(mirror),
    // Of the only one the verdict has told already.
    ...(states.length > 1 ? failureOf(mirror) : []),
  ]);
}

function lagsOf({ name, channels }: MirrorState): readonly AlsoView[] {
  return channels
    .filter(({ lags }) => lags)
    .map((shown) => {
      const what = `${pointText(shown.shows)} of ${shown.channel}`;
      const verdict = `lagging mirror ${name}: it shows ${what}, ${lagText(shown)} (${pointText(shown.known)} is known)`;
      return { verdict, cure: FAULTS['source.stale'].remedy };
    });
}

function failureOf({ name, fault, restsForMs }: MirrorState): readonly AlsoView[] {
  if (!fault) return [];
  const seconds = Math.ceil(restsForMs / 1_000) * 1_000;
  const again =
    seconds > 0 ? `asked before others again in ${durationText(seconds)}` : 'asked next';
  const verdict = `mirror ${name} fails, ${again}: ${fault.code}: ${fault.message}`;
  return [{ verdict, cure: fault.remedy }];
}
