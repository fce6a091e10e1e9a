/** The watched directories of this agent: what looks at a bundle, what inspects it, whom it is told. */

import { ok } from '#errors/fault.ts';
import type { Platform } from '#platform/platform.ts';
import { ociLayout } from '#sources/oci-layout.ts';
import type { Trusted } from '#trust/verify.ts';
import type { Base } from './base.ts';
import { type Inspection, type InspectionInput, inspectBundle } from './bundle-inspection.ts';
import { type BundleShelf, bundleShelf } from './bundles.ts';
import { planCandidate } from './change.ts';
import type { AgentConfig } from './config.ts';
import type { DeviceAgent } from './device-agent.ts';
import type { DeviceChannel } from './device-channel.ts';
import type { Line } from './line.ts';
import { lookForAll, mostTelling } from './operating.ts';
import { emptyPlan, planView } from './views.ts';

export interface OpenBundlesInput {
  readonly platform: Platform;
  readonly base: Base;
  readonly config: Pick<AgentConfig, 'bundleConsent'>;
  /** in the order of agent.yaml */
  readonly lines: readonly Line[];
  readonly agent: DeviceAgent;
  readonly device: DeviceChannel;
  trusted(line: Line): Trusted;
  changed(): void;
}

export function openBundles(input: OpenBundlesInput): BundleShelf {
  const { platform, config } = input;
  const { clock, log } = platform;
  return bundleShelf({
    ...{ clock, log, consent: config.bundleConsent },
    look: async (bundle) => mostTelling(await lookForAll(input, { bundle, now: false })),
    inspect: (path, signal) => inspectForAll(input, path, signal),
    changed: input.changed,
  });
}

/** For every channel of this device; where none would take anything, the first that it speaks of. */
async function inspectForAll(
  input: OpenBundlesInput,
  path: string,
  signal: AbortSignal,
): Promise<Inspection> {
  const seen: Inspection[] = [];
  for (const line of input.lines) {
    const one = await inspectBundle(inspectionOf(input, line), path, signal);
    seen.push(one);
  }
  if (input.device.followed()) seen.push(await inspectBundle(valuesOf(input), path, signal));
  const [first, ...others] = seen.filter(({ state }) => state === 'offered');
  if (first) {
    const more = others.map(({ channel, point, plan }) => ({ channel, point, plan }));
    return { ...first, more };
  }
  const known = seen.find(({ channel }) => channel !== '') ?? seen[0];
  const nothing = { channel: '', point: null, plan: null, fault: null, more: [] };
  return known ?? { state: 'nothing', ...nothing };
}

/** Values of this device alone: what they mean for what runs is known when they are in force. */
function valuesOf(input: OpenBundlesInput): InspectionInput {
  const { platform, base, device } = input;
  const { channel, row } = device.follower;
  return {
    clock: platform.clock,
    bundle: (path) => ociLayout(platform.files, path, { channel, heldRoot: base.roots.held }),
    root: base.roots.root,
    trusted: () => device.trusted(),
    channel,
    plan: async () => ok(emptyPlan('values', row().applied, null)),
  };
}

function inspectionOf(input: OpenBundlesInput, line: Line): InspectionInput {
  const { platform, base } = input;
  const { channel, follower, changes } = line;
  return {
    clock: platform.clock,
    bundle: (path) => ociLayout(platform.files, path, { channel, heldRoot: base.roots.held }),
    root: base.roots.root,
    trusted: () => input.trusted(line),
    channel,
    async plan(candidate, signal) {
      const row = follower.row();
      const planned = await planCandidate(changes, candidate, row, signal);
      return planned.ok ? ok(planView(planned.value, row.applied, null)) : planned;
    },
  };
}
