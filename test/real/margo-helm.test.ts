/**
 * Margo's profile helm on a device: charts by digest out of the owner's registry, through the real helm,
 * into a stand-in for a cluster's API (test/support/kube-api.ts).
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sha256 } from '#state/digest.ts';
import { packChart, pushChart } from '../support/charts.ts';
import { eventually } from '../support/eventually.ts';
import { type KubeApi, kubeApi } from '../support/kube-api.ts';
import { type MargoDevice, margoDevice } from '../support/margo-device.ts';
import { type LittleManager, littleManager } from '../support/margo-server.ts';
import { type MargoWorld, makeSvid, margoWorld, WFM } from '../support/margo-world.ts';
import { program } from '../support/parts.ts';

const HELM = program('helm');
const ID = '6f1c0a52-3b7e-4d0a-9a41-0d5f6c1e2b21';
const NAME = `web-${sha256(Buffer.from(ID)).slice(7, 15)}`;
const title = (text: string): string => (HELM ? text : `${text} (no helm)`);

let world: MargoWorld;
let manager: LittleManager;
let device: MargoDevice;
let api: KubeApi;

const push = (version: string, says: string): Promise<void> =>
  pushChart(
    `${new URL(world.registry).origin}/v2/charts/web`,
    version,
    packChart({ name: 'web', version, says }),
  );

const document = (revision: string, more = ''): string => `id: ${ID}
metadata: { name: web, namespace: plant-a, deviceId: press-42 }
spec:
  applicationId: web
  deploymentProfile:
    type: helm
    components:
      - name: web
        properties:
          repository: oci://${new URL(world.registry).host}/charts/web
          revision: ${revision}
          timeout: 0m3s
  parameters:
    replicas: { value: 2, targets: [{ pointer: replicas, components: [web] }] }
    host: { value: recipes.example, targets: [{ pointer: "ingress.hosts[0]", components: [web] }] }
${more}`;
const says = () =>
  (api.object(`configmaps/${NAME}-conf`)?.data as { says: string } | undefined)?.says;
const told = (state: string, version: number) =>
  eventually(`${state} at ${version}`, () =>
    manager.statuses(ID).some((one) => one.state === state && one.version === version),
  );
const last = () =>
  JSON.parse(manager.seen.findLast(({ path }) => path.endsWith(`${ID}/status`))?.body ?? '{}');

describe.skipIf(HELM === null)(`charts${HELM === null ? ' (skipped: no helm here)' : ''}`, () => {
  beforeAll(async () => {
    [world, api] = await Promise.all([margoWorld(), kubeApi()]);
    const pki = join(world.desk.folder, 'pki');
    manager = await littleManager(makeSvid(pki, 'little', world.ca, WFM), world.ca);
    const kubeconfig = join(world.desk.folder, 'kubeconfig');
    writeFileSync(kubeconfig, api.kubeconfig, { mode: 0o600 });
    const allow = { roots: ['/opt'], runtimes: ['files', 'helm'] };
    device = margoDevice({
      ...{ folder: join(world.desk.folder, 'device'), root: world.root, url: manager.url },
      ...{ svid: world.svid('press-42'), trustBundle: world.bundle, registry: world.registry },
      settings: {
        channels: [{ name: 'margo', allow }],
        runtimes: { helm: { path: HELM, kubeconfig, context: 'c', namespaces: ['plant-a'] } },
      },
    });
    await push('1.0.0', 'one');
    await push('1.1.0', 'two');
    device.start();
  });
  afterAll(async () => {
    await device?.stop();
    await manager?.close();
    await api?.close();
    await world?.remove();
  });

  test(
    title('rules 51, 54, 55: the profile is offered, a chart installed with its values, and told'),
    async () => {
      manager.deploy(2, { [ID]: document('1.0.0') });
      await told('installed', 2);
      const put = manager.seen.find(({ path }) => path.includes('/capabilities/'));
      const { properties } = JSON.parse(put?.body ?? '');
      expect(properties.supportedDeploymentTypes).toEqual(['helm', 'custom']);
      expect(properties.supportedRuntimes).toContain('oci');
      expect(says()).toBe('one');
      const { values = '' } = (api.object(`configmaps/${NAME}-conf`)?.data ?? {}) as {
        values?: string;
      };
      expect(JSON.parse(values)).toMatchObject({
        replicas: 2,
        ingress: { hosts: ['recipes.example'] },
      });
      expect(api.object(`deployments/${NAME}`)?.metadata.namespace).toBe('plant-a');
    },
  );

  test(title('rule 51: one that is not ready in time fails, and what ran is back'), async () => {
    api.sick.add(NAME);
    const held = api.hold(new RegExp(`PUT .*${NAME}.v2`));
    manager.deploy(3, { [ID]: document('1.1.0') });
    await held.held;
    api.sick.delete(NAME);
    held.go();
    await told('failed', 3);
    expect([says(), last().status.error.code]).toEqual(['one', 'helm.failed']);
  });

  test(title('rule 50: the next one is an update'), async () => {
    manager.deploy(4, {
      [ID]: document('1.1.0', '    unused: { targets: [{ pointer: x, components: [web] }] }\n'),
    });
    await told('installed', 4);
    expect(says()).toBe('two');
  });

  test(title('rules 56, 57: a tag that moved is refused, and nothing changes'), async () => {
    await push('1.1.0', 'other bytes');
    manager.deploy(5, { [ID]: document('1.1.0') });
    await eventually('it is told why', () => device.log().includes('package.tag-moved'));
    expect(says()).toBe('two');
    // Also after a restart: what a tag meant is on disk.
    await device.stop('SIGKILL');
    device.start();
    manager.deploy(6, { [ID]: document('1.1.0') });
    const before = device.log().length;
    await eventually('again', () => device.log().indexOf('package.tag-moved', before) > 0);
    expect(says()).toBe('two');
  });

  test(title('rule 49: absence uninstalls; nothing of it stays in the cluster'), async () => {
    manager.deploy(7, {});
    await told('removed', 7);
    expect([says(), api.names('secrets').filter((one) => one.includes(NAME))]).toEqual([
      undefined,
      [],
    ]);
    expect(api.object(`deployments/${NAME}`)).toBeNull();
  });
});
