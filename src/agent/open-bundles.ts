/** The watched directories of this agent: what looks at a bundle, what inspects it, whom it is told. */

import { ok } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { Log } from '#platform/log.ts';
import type { LayoutSource } from '#sources/oci-layout.ts';
import type { Root } from '#state/root.ts';
import type { Trusted } from '#trust/verify.ts';
import type { Agent } from './agent.ts';
import { inspectBundle } from './bundle-inspection.ts';
import { type BundleShelf, bundleShelf } from './bundles.ts';
import { type ChangeInput, planCandidate } from './change.ts';
import type { AgentConfig } from './config.ts';
import type { DeviceChannel } from './device-channel.ts';
import type { Follower } from './follow.ts';
import { lookForBoth } from './own-bundles.ts';
import { planView } from './views.ts';

export interface OpenBundlesInput {
  readonly clock: Clock;
  readonly log: Log;
  readonly config: Pick<AgentConfig, 'bundleConsent' | 'channel'>;
  readonly agent: Agent;
  readonly device: DeviceChannel;
  readonly follower: Follower;
  readonly changes: ChangeInput;
  bundle(path: string): LayoutSource;
  root(): Root;
  trusted(): Trusted;
  changed(): void;
}

export function openBundles(input: OpenBundlesInput): BundleShelf {
  const { clock, log, config, follower } = input;
  const inspection = {
    ...{ clock, bundle: input.bundle, root: input.root, trusted: input.trusted },
    channel: config.channel.name,
    async plan(...[candidate, signal]: Parameters<Parameters<typeof inspectBundle>[0]['plan']>) {
      const row = follower.row();
      const planned = await planCandidate(input.changes, candidate, row, signal);
      return planned.ok ? ok(planView(planned.value, row.applied)) : planned;
    },
  };
  return bundleShelf({
    ...{ clock, log, consent: config.bundleConsent },
    look: (path) => lookForBoth(input, { kind: 'bundle', path }),
    inspect: (path, signal) => inspectBundle(inspection, path, signal),
    changed: input.changed,
  });
}
