/**
 * The operator's side of the demo: a fleet folder with two deployments, and the publisher's
 * commands of the executable on it. `holdfast` is run as a person would, and what it prints is
 * shown; what became of it is only ever asked of the devices.
 */
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Children } from './children.ts';

export const CHANNEL = 'stable';

/** What the devices are to run: the number in the file, the release of the page. */
export interface Version {
  readonly speed: number;
  readonly release: 1 | 2 | 3;
}

export interface Published {
  /** `epoch.sequence` */
  readonly point: string;
  /** hex of the state digest */
  readonly digest: string;
}

export interface Plant {
  readonly folder: string;
  /** 32 hex digits */
  readonly fleet: string;
  readonly root: string;
  write(version: Version): void;
  /** The command line after `holdfast`, as it is shown and run. */
  publish(args: readonly string[]): Promise<Published>;
}

export interface PlantInput {
  readonly children: Children;
  /** temporary folder of the demo */
  readonly folder: string;
  readonly registryPort: number;
  readonly brokerPort: number;
  /** release → executable */
  readonly pages: ReadonlyMap<number, string>;
}

export function configText({ speed }: Version): string {
  return `# press line, kept by Holdfast\nspeed=${speed}\n`;
}

export async function newPlant(input: PlantInput): Promise<Plant> {
  const { children, pages } = input;
  const folder = join(input.folder, 'plant');
  const made = await children.holdfast([
    'init',
    folder,
    ...['--channel', CHANNEL, '--demo', '--no-passphrase', '--no-examples'],
    ...['--registry', `http://127.0.0.1:${input.registryPort}/plant/state`],
    ...['--mqtt', `mqtt://127.0.0.1:${input.brokerPort}`],
    ...['-o', 'json'],
  ]);
  const { fleet, root }: { fleet: string; root: string } = JSON.parse(made);
  const channel = join(folder, 'channels', CHANNEL);
  mkdirSync(join(channel, 'files'), { recursive: true });
  mkdirSync(join(channel, 'bin'), { recursive: true });
  writeFileSync(join(channel, 'line-config.yaml'), configDocument(input.folder));
  writeFileSync(join(channel, 'page.yaml'), pageDocument(input.folder));
  return {
    folder,
    fleet,
    root,
    write(version) {
      writeFileSync(join(channel, 'files/line.conf'), configText(version));
      const page = pages.get(version.release);
      if (page === undefined) throw new Error(`no release ${version.release} of the page`);
      copyFileSync(page, join(channel, 'bin/page'));
      chmodSync(join(channel, 'bin/page'), 0o755);
    },
    async publish(args) {
      const printed = await children.holdfast([...args, '--fleet', folder, '-o', 'json']);
      const { point, stateDigest }: { point: string; stateDigest: string } = JSON.parse(printed);
      return { point, digest: stateDigest.replace('sha256:', '') };
    },
  };
}

/** Every device of the demo stands on this machine, so each has a folder of its own. */
export function configPath(folder: string, device: string): string {
  return join(folder, 'devices', device, 'opt/line.conf');
}

// `${device}` is for the device to fill in.
const DEVICE = '$' + '{device}';

function configDocument(folder: string): string {
  return `apiVersion: holdfast/v1
kind: Deployment
id: line-config
spec:
  deploymentProfile:
    type: files
    components:
      - name: conf
        properties:
          blob: files/line.conf
          target: ${JSON.stringify(configPath(folder, DEVICE))}
  parameters:
    device: { valueFrom: { device: id } }
`;
}

function pageDocument(folder: string): string {
  return `apiVersion: holdfast/v1
kind: Deployment
id: page
spec:
  dependsOn: [line-config]
  deploymentProfile:
    type: process
    components:
      - name: page
        properties:
          blob: bin/page
          env: { CONFIG: ${JSON.stringify(configPath(folder, DEVICE))} }
          aliveFor: 1s
          stop: { timeout: 3s }
  parameters:
    device: { valueFrom: { device: id }, targets: [{ pointer: DEVICE, components: [page] }] }
    port: { valueFrom: { deviceLabel: port }, targets: [{ pointer: PORT, components: [page] }] }
`;
}
