/**
 * `holdfast doctor`: config, clock, disk, link, trust, weaknesses: what to do. Works without
 * an agent and changes nothing; with a running agent the lock and the sockets say so.
 */
import type { Result } from '#errors/fault.ts';
import { type HttpLink, httpLink } from '#link/http.ts';
import { openBroker } from '#link/mqtt-broker.ts';
import { registry } from '#link/registry.ts';
import type { Platform } from '#platform/platform.ts';
import { LIMITS } from '#state/limits.ts';
import type { Root } from '#state/root.ts';
import { channelOf } from '#state/root.ts';
import { openRoot } from '#trust/root-chain.ts';
import { instantText, type TimeView, viewTime } from '#trust/time.ts';
import { type Finding, good, note, weak, wrong } from './finding.ts';
import { type WeaknessInput, weaknesses } from './weaknesses.ts';

export interface DoctorInput extends WeaknessInput {
  readonly platform: Platform;
  /** Unix ms */
  readonly buildTime: number;
}

const CONNECT_S = 30;

export async function doctor(input: DoctorInput): Promise<readonly Finding[]> {
  const { platform, config, buildTime } = input;
  const time = viewTime({ floorMs: buildTime, wallMs: platform.clock.wallMs() });
  const root = readRootFile(input);
  const http = httpLink(platform, {
    deadClock: { directory: `${config.runDir}/doctor`, time: () => time },
  });
  const findings = [
    good('configuration', `${config.file} is valid`),
    ...clock(time),
    ...trust(input, root, time),
    ...disk(input),
    ...weaknesses(input),
    ...(await registries(input, http)),
    ...(await broker(input, time)),
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

function readRootFile({ platform, config }: DoctorInput): Result<Root> {
  const bytes = platform.files.readFile(config.trust.root, LIMITS.rootBytes);
  return bytes.ok ? openRoot(bytes.value) : bytes;
}

function trust({ config }: DoctorInput, root: Result<Root>, time: TimeView): readonly Finding[] {
  if (!root.ok) return [wrong('trust', root.fault)];
  const { fleet, version, notAfter, demo } = root.value;
  const channel = channelOf(root.value, config.channel.name);
  const findings = [good('trust', `root version ${version} of fleet ${fleet}`)];
  if (!channel) {
    const named = root.value.channels.map(({ name }) => name).join(', ');
    const message = `the root names no channel "${config.channel.name}" (it has: ${named})`;
    findings.push({
      about: 'trust',
      severity: 'error',
      code: '',
      message,
      remedy: 'Correct channels[].name in agent.yaml, or add the channel to the root.',
    });
  }
  if (demo)
    findings.push(
      weak(
        'trust',
        'this is a demo root: its keys were kept together',
        'Make a root with `holdfast init` before anything real.',
      ),
    );
  if (notAfter !== 0 && notAfter < time.estimateMs) {
    findings.push(
      weak(
        'trust',
        `the root expired at ${instantText(notAfter)}`,
        'Publish a new root; what runs goes on.',
      ),
    );
  }
  return findings;
}

function disk({ platform, config }: DoctorInput): readonly Finding[] {
  const findings: Finding[] = [];
  for (const [about, path] of [
    ['stateDir', config.stateDir],
    ...config.channel.allow.roots.map((root) => ['target root', root] as const),
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
  for (const settings of config.registries) {
    const repository = registry(http, settings);
    const head = await repository.headManifest(config.channel.name);
    if (!head.ok) findings.push(wrong('registry', head.fault));
    else if (head.value)
      findings.push(good('registry', `${repository.name}:${config.channel.name} is ${head.value}`));
    else
      findings.push(
        weak(
          'registry',
          `${repository.name} has no ${config.channel.name}`,
          'Publish to it, or correct the url and the channel.',
        ),
      );
  }
  if (config.registries.length === 0) {
    findings.push(note('registry', 'none configured: states come by bundle'));
  }
  return findings;
}

async function broker(
  { platform, config }: DoctorInput,
  time: TimeView,
): Promise<readonly Finding[]> {
  const { mqtt } = config;
  if (!mqtt) return [note('mqtt', 'none configured: the schedule alone looks')];
  const opened = await openBroker(platform, mqtt, time, {
    clientId: `holdfast-doctor-${Buffer.from(platform.random.bytes(6)).toString('hex')}`,
    version: mqtt.protocol === '5' ? 5 : 4,
    keepaliveSeconds: CONNECT_S,
    sessionExpirySeconds: 0,
    onMessage: () => undefined,
    onClosed: () => undefined,
  });
  if (!opened.ok) return [wrong('mqtt', opened.fault)];
  await opened.value.end();
  return [good('mqtt', `${mqtt.url} answers`)];
}
