/**
 * agent.yaml of a device that was just enrolled: the lines that make `holdfast agent` run at once.
 * An agent.yaml that is there is the owner's and never touched; then the lines are printed.
 */
import type { Enrolled, EnrolledPaths } from './enrolled.ts';

export interface ConfigInput {
  readonly enrolled: Enrolled;
  readonly paths: EnrolledPaths;
  readonly stateDir: string;
  readonly runDir: string;
  /** as it is to stand in the file */
  readonly root: string;
}

/** What belongs beside the urls: how this device shows who it is. */
function credentialSettings({ enrolled, paths }: Pick<ConfigInput, 'enrolled' | 'paths'>) {
  return enrolled.kind === 'certificate'
    ? { tls: { ca: paths.ca, cert: paths.credential, key: paths.credential } }
    : {
        auth: { usernameFile: paths.user, passwordFile: paths.secret },
        tls: { ca: paths.ca },
      };
}

/** The sections that enrolment decides. */
export function linkSettings(input: Pick<ConfigInput, 'enrolled' | 'paths'>) {
  const { registry, mqtt, channel, proxy } = input.enrolled;
  const shown = { ...credentialSettings(input), ...(proxy === null ? {} : { proxy }) };
  return {
    ...(channel === '' ? {} : { channels: [{ name: channel }] }),
    ...(registry === '' ? {} : { registries: [{ url: registry, ...shown }] }),
    ...(mqtt === '' ? {} : { mqtt: { url: mqtt, ...shown } }),
  };
}

/** Null: the hub did not say which channel this device follows. */
export function agentSettings(input: ConfigInput): Readonly<Record<string, unknown>> | null {
  const { enrolled, stateDir, runDir, root } = input;
  if (enrolled.channel === '') return null;
  const labels = Object.keys(enrolled.labels).length === 0 ? {} : { labels: enrolled.labels };
  return {
    apiVersion: 'holdfast/v1',
    kind: 'Agent',
    device: { id: enrolled.deviceId, ...labels },
    stateDir,
    runDir,
    trust: { root },
    channels: [{ name: enrolled.channel }],
    ...linkSettings(input),
  };
}
