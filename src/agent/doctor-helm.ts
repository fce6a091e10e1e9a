/** `holdfast doctor` about charts: is helm there, which one, and does the cluster answer? */
import { type HelmProgram, type HelmSettings, helmProgram } from '#apply/runtimes/helm-program.ts';
import { fault } from '#errors/fault.ts';
import type { Platform } from '#platform/platform.ts';
import { HELM_PROFILE } from '#state/deployment.ts';
import type { AgentConfig } from './config.ts';
import { type Finding, good, note, wrong } from './finding.ts';

/** --description of an upgrade is kept, and --create-namespace is there */
const OLDEST = [3, 8] as const;

export async function helmFindings(
  platform: Pick<Platform, 'files' | 'processes' | 'clock'>,
  config: Pick<AgentConfig, 'helm' | 'channels' | 'runDir'>,
): Promise<readonly Finding[]> {
  const { helm: settings, channels, runDir } = config;
  const wanted = channels.filter(({ allow }) => allow.runtimes.includes(HELM_PROFILE));
  if (!settings) {
    return wanted.map(({ name }) =>
      wrong('helm', fault('helm.not-configured', { deployment: `what channel ${name} may run` })),
    );
  }
  const { files, processes, clock } = platform;
  const program = helmProgram({ files, processes, clock, runDir, settings, storeId: 'doctor' });
  const version = await program.version();
  if (!version.ok) return [wrong('helm', version.fault)];
  const [, major = '0', minor = '0'] = /v(\d+)\.(\d+)/.exec(version.value) ?? [];
  const old = Number(major) < OLDEST[0] || (major === '3' && Number(minor) < OLDEST[1]);
  const reason = `it is ${version.value}`;
  if (old) return [wrong('helm', fault('helm.missing', { path: settings.path ?? 'helm', reason }))];
  const unused =
    wanted.length > 0 ? [] : [note('helm', 'no channel may run charts: allow.runtimes')];
  return [await cluster(program, settings, version.value), ...unused];
}

async function cluster(
  program: HelmProgram,
  { kubeconfig }: HelmSettings,
  version: string,
): Promise<Finding> {
  const answers = await program.ping();
  if (!answers.ok) return wrong('helm', answers.fault);
  return good('helm', `helm ${version}; the cluster of ${kubeconfig} answers`);
}
