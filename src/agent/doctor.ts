/**
 * `holdfast doctor`: config, clock, disk, link, trust, weaknesses: what to do. Works without
 * an agent and changes nothing; with a running agent the lock and the sockets say so.
 */
import type { Fault, Result } from '#errors/fault.ts';
import { type HttpLink, httpLink } from '#link/http.ts';
import { openBroker } from '#link/mqtt-broker.ts';
import { registry } from '#link/registry.ts';
import type { Platform } from '#platform/platform.ts';
import type { Digest } from '#state/digest.ts';
import type { TlsTrust } from '#state/root.ts';
import { instantText, type TimeView, viewTime } from '#trust/time.ts';
import { clockAgainst } from './clock-check.ts';
import { targetRoots } from './config-channels.ts';
import { credentialFindings } from './credential-findings.ts';
import { agentSays } from './doctor-agent.ts';
import { overlappingChannels } from './doctor-channels.ts';
import { composeFindings } from './doctor-compose.ts';
import { configurationFindings } from './doctor-configuration.ts';
import { helmFindings } from './doctor-helm.ts';
import { identityFindings } from './doctor-identity.ts';
import { differing, type Shown } from './doctor-mirrors.ts';
import { timeFindings } from './doctor-time.ts';
import { doctorRoot } from './doctor-trust.ts';
import { type Finding, good, note, weak, wrong } from './finding.ts';
import { readOnlyPlaces } from './mounts.ts';
import { type WeaknessInput, weaknesses } from './weaknesses.ts';

export interface DoctorInput extends WeaknessInput {
  readonly platform: Platform;
  /** Unix ms */
  readonly buildTime: number;
  /** why sections that a state brought count for nothing */
  readonly ignored?: Fault | null;
}

const CONNECT_S = 30;

export async function doctor(input: DoctorInput): Promise<readonly Finding[]> {
  const { platform, config, buildTime } = input;
  const time = viewTime({ floorMs: buildTime, wallMs: platform.clock.wallMs() });
  const { root, findings: trust } = doctorRoot(platform, config, time);
  const tls = root.ok ? root.value.tls : null;
  const http = httpLink(platform, {
    deadClock: { directory: `${config.runDir}/doctor`, time: () => time },
    rootAnchors: () => tls,
  });
  const findings = [
    ...configurationFindings(config, input.ignored ?? null),
    ...clock(time),
    ...trust,
    ...(await timeFindings(platform, config, root)),
    ...disk(input),
    ...readOnlyPlaces(platform.files, config),
    ...overlappingChannels(platform.files, config),
    ...(await agentSays(platform, config)),
    ...weaknesses(input),
    ...(await composeFindings(platform, config)),
    ...identityFindings(platform, config),
    ...credentialFindings(platform, config, time),
    ...(await helmFindings(platform, config)),
    ...(await registries(input, http)),
    ...(await broker(input, time, tls)),
  ];
  http.close();
  return findings;
}

function clock(time: TimeView): readonly Finding[] {
  if (time.wallPlausible) return [good('clock', `${instantText(time.estimateMs)} is plausible`)];
  const message = `the wall clock is implausible; ${instantText(time.floorMs)} is the lower bound`;
  return [
    weak(
      'clock',
      message,
      'Set the clock or give the device a time service; states apply all the same.',
    ),
  ];
}

function disk({ platform, config }: DoctorInput): readonly Finding[] {
  const findings: Finding[] = [];
  for (const [about, path] of [
    ['stateDir', config.stateDir],
    ...targetRoots(config.channels).map((root) => ['target root', root] as const),
  ] as const) {
    const directory = platform.files.open(path, { follow: true });
    if (!directory.ok) {
      const missing = directory.fault.code === 'platform.missing';
      findings.push(
        missing
          ? note('disk', `${about} ${path} does not exist yet`)
          : wrong('disk', directory.fault),
      );
      continue;
    }
    const space = directory.value.freeSpace();
    directory.value.close();
    if (!space.ok) findings.push(wrong('disk', space.fault));
    else findings.push(room(about, path, space.value, config.keep.reserveBytes));
  }
  return findings;
}

function room(
  about: string,
  path: string,
  { bytes, inodes }: { readonly bytes: number; readonly inodes: number },
  reserve: number,
): Finding {
  const message = `${about} ${path}: ${Math.round(bytes / 1024 / 1024)} MiB and ${inodes} inodes free`;
  if (bytes >= reserve && inodes > 64) return good('disk', message);
  return weak(
    'disk',
    `${message}; the reserve is ${Math.round(reserve / 1024 / 1024)} MiB`,
    'Free space: nothing new is applied below the reserve.',
  );
}

async function registries({ config }: DoctorInput, http: HttpLink): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const heads: Shown[] = [];
  for (const settings of config.registries) {
    const repository = registry(http, settings);
    findings.push(...(await clockAgainst(http, settings)));
    for (const { name } of config.channels) {
      const head = await repository.headManifest(name);
      findings.push(headFinding(repository.name, name, head));
      if (head.ok && head.value)
        heads.push({ registry: repository.name, channel: name, head: head.value });
    }
  }
  if (config.registries.length === 0) {
    findings.push(note('registry', 'none configured: states come by bundle'));
  }
  return [...findings, ...differing(heads)];
}

function headFinding(registry: string, channel: string, head: Result<Digest | null>): Finding {
  if (!head.ok) return wrong('registry', head.fault);
  if (head.value) return good('registry', `${registry}:${channel} is ${head.value}`);
  const remedy = 'Publish to it, or correct the url and the channel.';
  return weak('registry', `${registry} has no ${channel}`, remedy);
}

async function broker(
  { platform, config }: DoctorInput,
  time: TimeView,
  trust: TlsTrust | null,
): Promise<readonly Finding[]> {
  const { mqtt } = config;
  if (!mqtt) return [note('mqtt', 'none configured: the schedule alone looks')];
  const opened = await openBroker(platform, mqtt, time, {
    clientId: `holdfast-doctor-${Buffer.from(platform.random.bytes(6)).toString('hex')}`,
    version: mqtt.protocol === '5' ? 5 : 4,
    keepaliveSeconds: CONNECT_S,
    sessionExpirySeconds: 0,
    trust,
    onMessage: () => undefined,
    onClosed: () => undefined,
  });
  if (!opened.ok) return [wrong('mqtt', opened.fault)];
  await opened.value.end();
  return [good('mqtt', `${mqtt.url} answers`)];
}
