/**
 * The way to the manager and this device's name on it, by dialect: rc3 with X.509-SVIDs on both sides of
 * the connection, the older ones with the manager's root CA (the owner's file, pinned) and signed
 * requests. The dialect is the owner's word; nothing that fails here selects another one (M01).
 */
import { ok, type Result } from '#errors/fault.ts';
import { httpLink } from '#link/http.ts';
import { signedHttp } from '#link/http-signature.ts';
import { type MargoLink, margoLink } from '#link/margo.ts';
import { dateUrlOf, margoOnboarding } from '#link/margo-onboarding.ts';
import { unpacking } from '#link/unpacking.ts';
import type { Platform } from '#platform/platform.ts';
import type { Base } from './base.ts';
import { margoClient } from './margo-client.ts';
import type { MargoConfig, MargoSigning, MargoSvid } from './margo-config.ts';
import { withSource } from './margo-source.ts';
import { margoTrust } from './margo-trust.ts';

export interface MargoSide {
  readonly link: MargoLink;
  /** what the manager calls this device where the owner does not say */
  deviceId(): Result<string>;
  stop(): void;
}

export interface MargoSideInput {
  readonly platform: Platform;
  readonly base: Pick<Base, 'time' | 'device'>;
  readonly config: MargoConfig;
  readonly runDir: string;
  readonly stateDir: string;
}

export function openMargoSide(input: MargoSideInput): Result<MargoSide> {
  const { platform, runDir, config } = input;
  const { identity, source } = config;
  const side = identity.kind === 'svid' ? svidSide(input, identity) : signedSide(input, identity);
  if (!side.ok) return side;
  const { time } = input.base;
  const link = withSource({ platform, time, source, runDir }, side.value.link);
  return link.ok ? ok({ ...side.value, link: link.value }) : link;
}

function svidSide(input: MargoSideInput, identity: MargoSvid): Result<MargoSide> {
  const { platform, base, config, runDir, stateDir } = input;
  const { url, proxy } = config;
  const { time } = base;
  const trust = margoTrust({
    ...{ platform, time, stateDir, runDir, config: { identity, url, proxy } },
  });
  const { judge } = trust.identity;
  const http = httpLink(platform, {
    deadClock: { directory: `${runDir}/margo`, time: () => time.view(), judge },
  });
  const { cert, key } = identity;
  const access = { insecure: false, tls: { cert, key }, proxy };
  const link = margoLink(unpacking(http, platform.inflate), { url, access });
  if (!link.ok) return link;
  return ok({
    link: link.value,
    deviceId() {
      const name = trust.identity.name();
      return name.ok ? ok(name.value.client) : name;
    },
    stop: () => trust.stop(),
  });
}

function signedSide(input: MargoSideInput, signing: MargoSigning): Result<MargoSide> {
  const { platform, base, config, runDir, stateDir } = input;
  const { url, proxy, dialect } = config;
  const { files, log } = platform;
  const time = () => base.time.view();
  const client = margoClient({
    ...{ files, log, stateDir, url, signing, keys: platform.x509.messageKeys },
    ...{ deviceId: base.device.id, floorMs: () => time().floorMs },
  });
  const http = signedHttp(
    httpLink(platform, { deadClock: { directory: `${runDir}/margo`, time } }),
    { signer: client.signer, time, dateUrl: dateUrlOf(url) },
  );
  const access = { insecure: false, tls: { ca: signing.ca }, proxy };
  const onboarding = margoOnboarding(http, { url, access });
  if (!onboarding.ok) return onboarding;
  const id = () => client.id(onboarding.value);
  const link = margoLink(unpacking(http, platform.inflate), { url, access, dialect, client: id });
  if (!link.ok) return link;
  return ok({ link: link.value, deviceId: () => ok(base.device.id), stop: () => undefined });
}
