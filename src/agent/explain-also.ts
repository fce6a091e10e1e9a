/**
 * What is wrong here besides the verdict of `explain`: a broker that is away, a mirror that lags or fails, a clock that cannot be
 * right, deployments that are ill or were changed by hand, a second device with this identity. Each
 * with its cure. Read from memory and the snapshot; no network. Pure.
 */
import type { AlsoView, BundleView } from '#control/api.ts';
import { type Code, FAULTS, type Fault } from '#errors/fault.ts';
import type { ChannelStatus, StatusEvent } from '#state/status.ts';
import { deviceOfChannel } from '#state/values.ts';
import { instantText, type TimeView } from '#trust/time.ts';
import type { MirrorState } from './mirrors.ts';
import { mirrorsWrong } from './mirrors-view.ts';

export interface AlsoInput {
  /** null: no broker is configured */
  readonly mqtt: { readonly kind: string; readonly lastFault: Fault | null } | null;
  /** default: none */
  readonly mirrors?: readonly MirrorState[];
  readonly time: TimeView;
  readonly channels: readonly ChannelStatus[];
  /** of this run, oldest first */
  readonly events: readonly StatusEvent[];
  /** in the watched directories */
  readonly bundles?: readonly BundleView[];
}

const ILL_MAX = 8;

export function alsoWrong({
  mqtt,
  mirrors = [],
  time,
  channels,
  events,
  bundles,
}: AlsoInput): readonly AlsoView[] {
  return [
    ...brokerAway(mqtt),
    ...mirrorsWrong(mirrors),
    ...(time.wallPlausible
      ? []
      : [
          {
            verdict: `the wall clock is implausible: it is at least ${instantText(time.floorMs)}`,
            cure: 'Set the clock or give the device a time service; states apply all the same.',
          },
        ]),
    ...channels.flatMap(illDeployments).slice(0, ILL_MAX),
    ...channels.flatMap(ownRefused),
    ...clones(events),
    ...(bundles ?? []).flatMap(onStick).slice(0, ILL_MAX),
  ];
}

function brokerAway(mqtt: AlsoInput['mqtt']): readonly AlsoView[] {
  if (!mqtt || mqtt.kind === 'up' || !mqtt.lastFault) return [];
  const { code, message, remedy } = mqtt.lastFault;
  return [{ verdict: `mqtt is down: ${code}: ${message}`, cure: remedy }];
}

function illDeployments({ channel, deployments }: ChannelStatus): readonly AlsoView[] {
  return deployments
    .filter(({ health }) => health === 'unhealthy' || health === 'stopped')
    .map(({ id, health, code, message }) => ({
      verdict: `${channel}: ${id} is ${health}${code === '' ? '' : `: ${code}`}: ${message}`,
      cure: cureOf(id, code),
    }));
}

/** Of the device's own channel: the verdict is about the first one. */
function ownRefused({ channel, refused }: ChannelStatus): readonly AlsoView[] {
  if (!refused || deviceOfChannel(channel) === null) return [];
  const { code, message } = refused;
  const cure = code in FAULTS ? FAULTS[code as Code].remedy : 'Publish other values.';
  return [{ verdict: `${channel}: refused ${code}: ${message}`, cure }];
}

function cureOf(id: string, code: string): string {
  if (code === 'drift.found') {
    return 'Find who writes it. drift: repair (the default) puts the signed content back by itself.';
  }
  if (code in FAULTS) return FAULTS[code as Code].remedy;
  return `Look with \`holdfast logs ${id}\` and \`holdfast describe deployment ${id}\`.`;
}

function clones(events: readonly StatusEvent[]): readonly AlsoView[] {
  const told = events.findLast(({ code }) => code === 'identity.cloned');
  if (!told) return [];
  const cure =
    'Run `holdfast prepare-image` before an image is copied; on a copy, stop the agent, run it and start again.';
  return [{ verdict: `identity.cloned: ${told.message}`, cure }];
}

function onStick({ path, state, point, channel, fault }: BundleView): readonly AlsoView[] {
  if (state === 'offered') {
    const cure =
      'See what it would change with `holdfast bundles`; apply it with `holdfast consent`.';
    return [{ verdict: `${path}: ${channel} ${point} waits for consent`, cure }];
  }
  if (!fault || (state !== 'refused' && state !== 'waiting')) return [];
  return [{ verdict: `${path}: ${state}: ${fault.code}: ${fault.message}`, cure: fault.remedy }];
}
