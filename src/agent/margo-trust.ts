/**
 * Identity, trust bundle and its refreshing, put together for the section `margo`: whoever is not
 * believed raises the question whether the bundle was replaced meanwhile.
 */
import type { JudgePeer } from '#link/dead-clock.ts';
import type { Platform } from '#platform/platform.ts';
import { margoAnchors } from './margo-anchors.ts';
import type { MargoConfig, MargoSvid } from './margo-config.ts';
import { type MargoIdentity, margoIdentity } from './margo-identity.ts';
import { margoRefresh } from './margo-refresh.ts';
import type { AgentTime } from './time.ts';

export interface MargoTrustInput {
  readonly platform: Platform;
  readonly config: Pick<MargoConfig, 'url' | 'proxy'> & { readonly identity: MargoSvid };
  readonly time: Pick<AgentTime, 'view'>;
  readonly stateDir: string;
  readonly runDir: string;
}

export interface MargoTrust {
  readonly identity: MargoIdentity;
  stop(): void;
}

export function margoTrust({
  platform,
  config,
  time,
  stateDir,
  runDir,
}: MargoTrustInput): MargoTrust {
  const { cert, key, trustBundle: file, refresh: settings } = config.identity;
  const anchors = margoAnchors({ platform, file, stateDir });
  const identity = margoIdentity({ platform, config, time, anchors });
  const refresh = margoRefresh({
    ...{ platform, time, runDir, anchors, config: settings },
    manager: {
      ...{ url: config.url, proxy: config.proxy, judge: identity.judge, tls: { cert, key } },
    },
    domain() {
      const name = identity.name();
      return name.ok ? { ok: true, value: name.value.domain } : name;
    },
  });
  const judge: JudgePeer = (chain) => {
    const judged = identity.judge(chain);
    if (!judged.ok) refresh.doubt();
    return judged;
  };
  return { identity: { ...identity, judge }, stop: () => refresh.stop() };
}
