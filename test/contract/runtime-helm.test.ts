/**
 * The contract of runtimes for `helm`: the real program against a stand-in for a cluster's API. Beside it,
 * what a killed helm leaves, and what fails before anything is changed.
 */
import { afterAll, describe, expect, test } from 'bun:test';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { helmRuntime } from '#apply/runtimes/helm.ts';
import type { HelmSettings } from '#apply/runtimes/helm-program.ts';
import type { Parameter } from '#state/deployment.ts';
import { sha256 } from '#state/digest.ts';
import { type Generation, generationDigest } from '#state/generation.ts';
import { type ChartText, packChart } from '../support/charts.ts';
import { eventually } from '../support/eventually.ts';
import { kubeApi } from '../support/kube-api.ts';
import { program } from '../support/parts.ts';
import { codeOf, value } from '../support/store.ts';
import { runtimeContract } from './runtime.contract.ts';
import { type RuntimeWorld, runtimeWorld } from './runtime-world.ts';

const HELM = program('helm');
const api = await kubeApi();
afterAll(() => api.close());

let ids = 0;
const parameter = (name: string, typed: unknown, pointer = name): Parameter => ({
  ...{ name, value: { kind: 'literal', text: `${typed}`, typed } },
  targets: [{ pointer, components: ['web'] }],
});

interface Data {
  readonly says?: string;
  readonly values?: string;
}

interface Wanted {
  readonly id: string;
  readonly says?: string;
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly parameters?: readonly Parameter[];
  readonly chart?: Partial<ChartText>;
}

function chartGeneration(world: RuntimeWorld, of: Wanted): Generation {
  const { id, says = 'old', properties = {}, parameters = [], chart = {} } = of;
  const packed = packChart({ name: 'web', says, ...chart });
  const digest = sha256(packed);
  value(world.content.putBlob(digest, packed));
  const blob = { digest, size: packed.length, unpackedSize: packed.length, tree: false };
  const component = {
    name: 'web',
    blob: 'web.tgz',
    properties: { timeout: '0m20s', ...properties },
  };
  const profile = { kind: 'other', type: 'helm', components: [component], namespace: id } as const;
  const made = world.generation(id, {}, { profile, parameters });
  const blobs = new Map([['web.tgz', blob]]);
  return { ...made, blobs, digest: generationDigest(made.documentDigest, blobs, made.values) };
}

function helmWorld(settings: Partial<HelmSettings> = {}) {
  const world = runtimeWorld();
  const kubeconfig = `${world.path}/kubeconfig`;
  writeFileSync(kubeconfig, api.kubeconfig, { mode: 0o600 });
  const helm = { path: HELM, kubeconfig, context: null, namespaces: null, ...settings };
  ids += 1;
  const id = `line-${ids}`;
  const name = `web-${sha256(Buffer.from(id)).slice(7, 15)}`;
  return {
    ...{ world, id, name, kubeconfig },
    fresh: () => helmRuntime({ ...world.options, content: world.content, helm }),
    generation: (of: Omit<Wanted, 'id'> = {}) => chartGeneration(world, { id, ...of }),
    sees: () => (api.object(`configmaps/${name}-conf`)?.data as Data | undefined)?.says ?? 'origin',
    values() {
      const { values = '' } = (api.object(`configmaps/${name}-conf`)?.data ?? {}) as Data;
      return JSON.parse(values);
    },
    secrets: () => api.names('secrets').filter((one) => one.includes(`.${name}.`)),
  };
}

describe.skipIf(HELM === null)(`with helm${HELM === null ? ' (skipped: not here)' : ''}`, () => {
  runtimeContract('helm', () => {
    const at = helmWorld();
    const release = () => at.secrets().map((one) => `secrets/${one}`);
    return {
      ...{ fresh: at.fresh, old: at.generation(), next: at.generation({ says: 'next' }) },
      ...{ sees: at.sees, blobs: `${at.world.stateDir}/content` },
      identity: () => at.secrets().join(' '),
      damage() {
        for (const path of release()) api.remove(path);
      },
      kept() {
        const stage = `${at.world.runDir}/helm/stage`;
        return [...release(), ...(existsSync(stage) ? readdirSync(stage) : [])];
      },
      end: async () => at.world.end(),
    };
  });

  test('rule 54: values have the type that was written, at their paths, never as arguments', async () => {
    const at = helmWorld();
    const parameters = [
      parameter('n', 3, 'replicas'),
      parameter('hosts', ['a,b', 'c'], 'ingress.hosts'),
      parameter('flag', 'true', 'ingress.flag'),
      parameter('first', false, 'list[1].on'),
      parameter('dots', '{{ .Release }}', 'with\\.dot'),
    ];
    value(await at.fresh().activate(at.generation({ parameters }), null));
    expect(at.values()).toMatchObject({
      ...{ replicas: 3, ingress: { hosts: ['a,b', 'c'], flag: 'true' } },
      ...{ list: [null, { on: false }], 'with.dot': '{{ .Release }}' },
    });
    expect(api.object(`deployments/${at.name}`)?.spec).toMatchObject({ replicas: 3 });
    value(await at.fresh().deactivate(at.generation({ parameters })));
    await at.world.end();
  });

  test('rule 51: what is not ready in its time fails, and the revision before it is back', async () => {
    const at = helmWorld();
    const [old, next] = [
      at.generation(),
      at.generation({ says: 'next', properties: { timeout: '0m2s' } }),
    ];
    value(await at.fresh().activate(old, null));
    api.sick.add(at.name);
    const held = api.hold(new RegExp(`PUT .*${at.name}.v2`));
    const failing = at.fresh().activate(next, old);
    // Helm goes back by itself; the pods of before are well.
    await held.held;
    api.sick.delete(at.name);
    held.go();
    expect(codeOf(await failing)).toBe('helm.failed');
    expect(at.sees()).toBe('old');
    expect(value(await at.fresh().inspect(old, 'stat'))).toEqual([]);
    const revisions = at.secrets().length;
    value(await at.fresh().activate(old, next));
    expect(at.secrets()).toHaveLength(revisions);
    await at.world.end();
  });

  test('an undo goes back to the revision that was, without its chart', async () => {
    const at = helmWorld();
    const [old, next] = [at.generation(), at.generation({ says: 'next' })];
    value(await at.fresh().activate(old, null));
    value(await at.fresh().activate(next, old));
    for (const { digest } of old.blobs.values()) value(at.world.content.dropBlob(digest));
    value(await at.fresh().activate(old, next));
    expect(at.sees()).toBe('old');
    await at.world.end();
  });

  test('a helm that outlived its agent is ended, and its release taken out of the middle', async () => {
    const at = helmWorld();
    const [old, next] = [at.generation(), at.generation({ says: 'next' })];
    value(await at.fresh().activate(old, null));
    const held = api.hold(new RegExp(`PATCH .*/configmaps/${at.name}-conf`));
    const orphan = at.fresh().activate(next, old);
    await held.held;
    // The next agent undoes, as recovery does.
    const undone = at.fresh().activate(old, next);
    await eventually('the first is ended', async () => !(await orphan).ok);
    held.go();
    value(await undone);
    expect([at.sees(), codeOf(await orphan)]).toEqual(['old', 'helm.failed']);
    expect(value(await at.fresh().inspect(old, 'stat'))).toEqual([]);
    value(await at.fresh().activate(next, old));
    expect(at.sees()).toBe('next');
    await at.world.end();
  });

  test('a first install that was cut is taken out, and installed whole', async () => {
    const at = helmWorld();
    const next = at.generation({ says: 'next' });
    const held = api.hold(new RegExp(`POST .*/namespaces/${at.id}/deployments`));
    const orphan = at.fresh().activate(next, null);
    await held.held;
    const again = at.fresh().activate(next, null);
    await eventually('the first is ended', async () => !(await orphan).ok);
    held.go();
    value(await again);
    expect(at.sees()).toBe('next');
    value(await at.fresh().deactivate(next));
    expect(at.sees()).toBe('origin');
    await at.world.end();
  });

  test('charts and values that do not fit are refused before anything is changed', async () => {
    const at = helmWorld({ namespaces: ['line-x'] });
    expect(codeOf(await at.fresh().prepare(at.generation()))).toBe('helm.namespace');
    const any = helmWorld();
    for (const [of, code, text] of [
      [{ chart: { name: 'other' } }, 'helm.chart', 'calls itself other'],
      [
        { chart: { files: { 'Chart.yaml': 'apiVersion: v1\nname: web\nversion: 1.0.0\n' } } },
        'helm.chart',
        'not v2',
      ],
      [{ chart: { files: { 'templates/x.yaml': '{{ fail "no way" }}' } } }, 'helm.chart', 'no way'],
      [{ properties: { timeout: '5m' } }, 'helm.chart', 'its timeout'],
      [{ properties: { namespace: 'kube-system' } }, 'helm.namespace', 'any but kube-*'],
      [
        { parameters: [parameter('a', 1, 'x.y'), parameter('b', 2, 'x')] },
        'helm.values',
        'x is set twice',
      ],
      [{ parameters: [parameter('a', 1, 'x[')] }, 'helm.values', 'no path'],
    ] as const) {
      const refused = await any.fresh().prepare(any.generation(of));
      expect([codeOf(refused), refused.ok ? '' : refused.fault.message]).toEqual([
        code,
        expect.stringContaining(text),
      ]);
    }
    expect(any.secrets()).toEqual([]);
    await any.world.end();
    await at.world.end();
  });

  test('a cluster that does not answer is asked again; what is missing is named', async () => {
    const at = helmWorld();
    writeFileSync(at.kubeconfig, api.kubeconfig.replace(api.url, 'http://127.0.0.1:1'));
    expect(codeOf(await at.fresh().prepare(at.generation()))).toBe('helm.unreachable');
    await at.world.end();
    const none = helmWorld({ kubeconfig: '/nowhere/config' });
    expect(codeOf(await none.fresh().prepare(none.generation()))).toBe('helm.kubeconfig');
    await none.world.end();
  });
});

test('helm.missing, helm.not-configured: without the program, without a cluster', async () => {
  const at = helmWorld({ path: '/nowhere/helm' });
  expect(codeOf(await at.fresh().prepare(at.generation()))).toBe('helm.missing');
  const bare = helmRuntime({ ...at.world.options, content: at.world.content });
  expect(codeOf(await bare.activate(at.generation(), null))).toBe('helm.not-configured');
  await at.world.end();
});
