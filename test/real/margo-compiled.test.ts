/**
 * The compiled executable on both sides of Margo: as hub it serves devices of rc3, rc2 and pr1 and a gateway
 * with a child from one publish, as agent it is each of them; a chart goes through the real helm. Keys,
 * fleet and publishing are its own as well: nothing here runs from source.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { MargoClientListing } from '#hub/margo-listing.ts';
import { sha256 } from '#state/digest.ts';
import { type CertificateFiles, makeCa } from '../support/certificates.ts';
import { packChart, pushChart } from '../support/charts.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { readUntil, run } from '../support/hub.ts';
import { type KubeApi, kubeApi } from '../support/kube-api.ts';
import { type MargoDevice, margoDevice } from '../support/margo-device.ts';
import {
  filesDocument,
  makeSvid,
  margoFiles,
  WFM,
  writeTrustBundle,
} from '../support/margo-world.ts';
import { executable, program } from '../support/parts.ts';

const HOLDFAST = executable();
const HELM = program('helm');
const lacks =
  HOLDFAST === null ? 'the executable: npm run build' : !program('openssl') && 'openssl';
const id = (last: string) => `6f1c0a52-3b7e-4d0a-9a41-0d5f6c1e2b${last}`;
const CHART = id('21');
const CHILD = id('31');
const DEVICES = ['rc3', 'rc2', 'pr1', 'gw'] as const;
const FILES = { rc3: id('01'), rc2: id('02'), pr1: id('03'), gw: id('04') };
const CELL = {
  ...{ vendor: 'Works', modelNumber: 'C3', serialNumber: '3', memory: '1Gi', storage: '8Gi' },
  ...{ cpus: [{ cores: 2, architecture: 'arm64' }], supportedDeploymentTypes: ['custom'] },
  supportedRuntimes: ['custom'],
};

describe.skipIf(!!lacks)(
  `compiled hub, compiled devices${lacks ? ` (lacks ${lacks})` : ''}`,
  () => {
    const devices: Partial<Record<(typeof DEVICES)[number], MargoDevice>> = {};
    let folder: string;
    let ca: CertificateFiles;
    let hub: Bun.Subprocess<'ignore', 'pipe', 'pipe'>;
    let ports: readonly [registry: number, mqtt: number, margo: number];
    let api: KubeApi | null = null;

    const holdfast = async (...args: readonly string[]): Promise<string> => {
      const ran = await run([HOLDFAST ?? '', ...args]);
      if (ran.code !== 0) throw new Error(`holdfast ${args.join(' ')}: ${ran.code}\n${ran.err}`);
      return ran.out;
    };
    const at = (...names: readonly string[]) => join(folder, ...names);
    const registry = () => `http://127.0.0.1:${ports[0]}`;
    const startHub = async (): Promise<void> => {
      const [registryPort, mqttPort, margoPort] = ports.map(String);
      hub = Bun.spawn(
        [
          ...[HOLDFAST ?? '', 'hub', '--data', at('hub'), '--root', at('plant/root/1.root.json')],
          ...['--registry-port', registryPort ?? '', '--mqtt-port', mqttPort ?? ''],
          ...['--margo-port', margoPort ?? '', '--margo-serves', 'plant/state:stable'],
          ...['--margo-dialects', 'rc3,rc2,pr1', '--margo-accepted', at('accepted.txt')],
          ...['--margo-cert', at('wfm.pem'), '--margo-key', at('wfm.key')],
          ...['--margo-bundle', at('bundle.json')],
        ],
        { stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' },
      );
      await readUntil(hub.stdout, /^margo +https:/m);
    };
    const listed = async (): Promise<readonly MargoClientListing[]> =>
      JSON.parse(await holdfast('hub', 'margo', '--data', at('hub'), '-o', 'json'));
    const states = async (): Promise<Readonly<Record<string, string>>> =>
      Object.fromEntries(
        (await listed()).flatMap(({ deployments }) =>
          deployments.map((one) => [`${one.device} ${one.id}`, one.state]),
        ),
      );
    const told = (what: string, state: string) =>
      eventually(`${what} is ${state} at the hub`, async () => (await states())[what] === state);
    const write = (name: string, text: string): void => {
      const file = at('plant/channels/stable', name);
      mkdirSync(join(file, '..'), { recursive: true });
      writeFileSync(file, text);
    };
    const publish = () =>
      holdfast('publish', 'stable', '--fleet', at('plant'), '-y', '--allow-removal', '--no-nudge');
    const device = (
      name: (typeof DEVICES)[number],
      margo: Readonly<Record<string, unknown>>,
      settings = {},
    ): MargoDevice => {
      const svid =
        name === 'rc3' || name === 'gw'
          ? makeSvid(folder, `svid-${name}`, ca, `${WFM}/client/${name}`)
          : { cert: '', key: '' };
      mkdirSync(at(name));
      const made = margoDevice({
        ...{ folder: at(name), root: at('plant/root/1.root.json'), id: name, svid, settings },
        ...{ url: `https://127.0.0.1:${ports[2]}`, trustBundle: at('bundle.json'), margo },
        ...{ registry: `${registry()}/plant/state`, program: [HOLDFAST ?? ''] },
      });
      devices[name] = made;
      made.start();
      return made;
    };
    const chart = (revision: string): string =>
      stringify({
        ...{ id: CHART, metadata: { name: 'web', namespace: 'plant-a', deviceId: 'rc3' } },
        spec: {
          applicationId: 'web',
          deploymentProfile: {
            type: 'helm',
            components: [
              {
                name: 'web',
                properties: {
                  repository: `oci://127.0.0.1:${ports[0]}/charts/web`,
                  ...{ revision, timeout: '0m20s' },
                },
              },
            ],
          },
        },
      });

    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), 'holdfast-compiled-'));
      ca = makeCa(folder, 'anchor');
      makeSvid(folder, 'wfm', ca, `${WFM},IP:127.0.0.1,DNS:localhost`);
      writeTrustBundle(at('bundle.json'), [ca.cert]);
      writeFileSync(at('accepted.txt'), '# who may onboard\n');
      ports = [await freePort(), await freePort(), await freePort()];
      const flags = ['--demo', '--no-passphrase', '--no-examples', '--channel', 'stable'];
      const where = [
        '--registry',
        `${registry()}/plant/state`,
        '--mqtt',
        `mqtt://127.0.0.1:${ports[1]}`,
      ];
      await holdfast('init', at('plant'), ...flags, ...where);
      if (HELM !== null) {
        api = await kubeApi();
        writeFileSync(at('kubeconfig'), api.kubeconfig, { mode: 0o600 });
      }
      await startHub();
    }, 60_000);
    afterAll(async () => {
      await Promise.all(Object.values(devices).map((one) => one.stop()));
      hub.kill('SIGTERM');
      await hub.exited;
      await api?.close();
      rmSync(folder, { recursive: true, force: true });
    });

    test('rules 12, 75: devices of three dialects and a gateway with its child become known', async () => {
      for (const dialect of ['rc2', 'pr1'] as const) {
        const one = device(dialect, { dialect, identity: { ca: ca.cert } });
        await eventually('it says which certificate it has', () =>
          one.log().includes('margo.client-refused'),
        );
        const [, fingerprint] = /with certificate (sha256:[0-9a-f]{64})/.exec(one.log()) ?? [];
        appendFileSync(at('accepted.txt'), `${fingerprint}\n`);
      }
      const helm = {
        path: HELM,
        kubeconfig: at('kubeconfig'),
        context: 'c',
        namespaces: ['plant-a'],
      };
      const allow = { roots: [at('rc3')], runtimes: ['files', 'helm'] };
      const packages = { registries: [{ url: `${registry()}/charts` }] };
      const channels = [{ name: 'margo', allow }];
      device('rc3', {}, HELM === null ? {} : { channels, packages, runtimes: { helm } });
      mkdirSync(at('cell'));
      device('gw', { children: [{ id: 'cell', folder: at('cell'), properties: CELL }] });
      const known = async () =>
        (await listed()).flatMap((one) => one.devices.map((said) => said.id)).toSorted();
      await eventually('all of them', async () => (await known()).length === 5);
      expect(await known()).toEqual(['gw', 'gw/cell', 'pr1', 'rc2', 'rc3']);
    }, 60_000);

    test('rules 10, 26, 58: one publish reaches all of them, and the hub knows the state of each', async () => {
      write('files/a', 'speed=1');
      for (const name of DEVICES) {
        write(`${FILES[name]}.yaml`, margoFiles(FILES[name], name, at(name, 'opt/a')));
      }
      const child = { id: CHILD, deviceId: 'gw/cell', target: '/opt/cell', blob: 'files/a' };
      write(`${CHILD}.yaml`, filesDocument(child));
      await publish();
      for (const name of DEVICES) await told(`${name} ${FILES[name]}`, 'installed');
      await told(`gw/cell ${CHILD}`, 'installing');
      expect(DEVICES.map((name) => devices[name]?.read('a'))).toEqual(Array(4).fill('speed=1'));
    }, 60_000);

    test('rule 58: what the child says of itself is at the hub, under its own name', async () => {
      const digest = (await Bun.file(at('cell', CHILD, 'digest')).text()).trim();
      const document = await Bun.file(at('cell', CHILD, 'deployment.yaml')).bytes();
      expect(digest).toBe(sha256(document));
      mkdirSync(at('cell/status'), { recursive: true });
      const error = { code: 'C7', message: 'the drive is off' };
      const say = (state: string, more = {}) =>
        writeFileSync(
          at('cell/status', `${CHILD}.json`),
          JSON.stringify({ digest, state, ...more }),
        );
      say('failed', { error });
      await told(`gw/cell ${CHILD}`, 'failed');
      const [gateway] = (await listed()).filter(({ client }) => client.endsWith('/client/gw'));
      const failed = gateway?.deployments.find((one) => one.id === CHILD);
      expect([failed?.device, failed?.error]).toEqual(['gw/cell', 'C7: the drive is off']);
      say('installed');
      await told(`gw/cell ${CHILD}`, 'installed');
      expect(await holdfast('hub', 'margo', '--data', at('hub'))).toMatch(
        new RegExp(`^gw/cell +${CHILD} +installed +\\d+ +spiffe://`, 'm'),
      );
    }, 60_000);

    test('rules 26, 32: hub and devices are killed, and the next publish reaches all of them again', async () => {
      for (const name of DEVICES) await devices[name]?.stop('SIGKILL');
      hub.kill('SIGKILL');
      await hub.exited;
      await startHub();
      for (const name of DEVICES) devices[name]?.start();
      const before = new Map((await listed()).map((one) => [one.client, one.manifestVersion]));
      write('files/a', 'speed=2');
      rmSync(at('plant/channels/stable', `${CHILD}.yaml`));
      await publish();
      for (const name of DEVICES) {
        await eventually(`${name} has it`, () => devices[name]?.read('a') === 'speed=2');
      }
      await told(`gw/cell ${CHILD}`, 'removed');
      for (const { client, manifestVersion } of await listed()) {
        expect(BigInt(manifestVersion)).toBeGreaterThan(BigInt(before.get(client) ?? 0));
      }
    }, 60_000);

    test.skipIf(HELM === null)(
      `rules 51, 55, 57: a chart of the same state is run by helm${HELM === null ? ' (no helm)' : ''}`,
      async () => {
        const url = `${registry()}/v2/charts/web`;
        await pushChart(url, '1.0.0', packChart({ name: 'web', version: '1.0.0', says: 'one' }));
        write(`${CHART}.yaml`, chart('1.0.0'));
        await publish();
        await told(`rc3 ${CHART}`, 'installed');
        const release = `web-${sha256(Buffer.from(CHART)).slice(7, 15)}`;
        expect(api?.object(`configmaps/${release}-conf`)?.data).toMatchObject({ says: 'one' });
        rmSync(at('plant/channels/stable', `${CHART}.yaml`));
        await publish();
        await told(`rc3 ${CHART}`, 'removed');
        expect(api?.object(`configmaps/${release}-conf`)).toBeNull();
      },
      60_000,
    );
  },
);
