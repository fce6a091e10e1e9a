/**
 * Margo's rules for packages, on the runtime `helm`, without helm and without a registry: order and waiting
 * of components, charts by digest, tags that move.
 */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { helmRuntime } from '#apply/runtimes/helm.ts';
import type { Packages } from '#apply/runtimes/packages.ts';
import { ok, refuse } from '#errors/fault.ts';
import type { Program } from '#platform/processes.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import type { Generation } from '#state/generation.ts';
import { type RuntimeWorld, runtimeWorld } from '../../contract/runtime-world.ts';
import { packChart } from '../../support/charts.ts';
import { codeOf, value } from '../../support/store.ts';

const CONFIG = 'application/vnd.cncf.helm.config.v1+json';
const LAYER = 'application/vnd.cncf.helm.chart.content.v1.tar+gzip';

let world: RuntimeWorld;
/** what helm answers, by the word after its name; default: all is well */
let answers: Map<string, { readonly code: number; readonly output: string }>;
let lines: string[];
beforeEach(() => {
  world = runtimeWorld();
  writeFileSync(`${world.path}/kubeconfig`, '');
  answers = new Map([['history', { code: 1, output: 'Error: release: not found' }]]);
  lines = [];
});
afterEach(() => world.end());

function runtime() {
  const processes = {
    ...world.processes,
    async run({ command }: Omit<Program, 'output'>) {
      lines.push(command.slice(1).join(' '));
      const said = answers.get(`${command[1]} ${command[2]}`) ?? answers.get(command[1] ?? '');
      return ok({ code: 0, output: '', ...said, signal: null, timedOut: false });
    },
  };
  const settings = { path: process.execPath, kubeconfig: `${world.path}/kubeconfig` };
  const helm = { ...settings, context: null, namespaces: null };
  return helmRuntime({ ...world.options, processes, content: world.content, helm });
}

const component = (name: string, properties: Readonly<Record<string, unknown>> = {}) => ({
  ...{ name, blob: null },
  properties: { repository: `oci://r.example/charts/${name}`, revision: '1.0.0', ...properties },
});

function generation(...components: readonly ReturnType<typeof component>[]): Generation {
  const profile = { kind: 'other', type: 'helm', components, namespace: 'plant-a' } as const;
  return world.generation('line', {}, { profile });
}

/** One registry; what a tag means is what `tags` says, once and for ever. */
function packages(layerType = LAYER) {
  const chart = packChart({ name: 'web' });
  const layer = { mediaType: layerType, digest: sha256(chart), size: chart.length };
  const config = { mediaType: CONFIG, digest: sha256(Buffer.from('{}')), size: 2 };
  const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, config, layers: [layer] }));
  const tags = new Map<string, Digest>();
  const asked: string[] = [];
  const made = {
    async pinned({ repository }: { repository: string }, tag: string) {
      asked.push(`${repository}:${tag}`);
      const now = sha256(manifest);
      const known = tags.get(tag) ?? now;
      tags.set(tag, known);
      return known === now
        ? ok(known)
        : refuse('package.tag-moved', { name: repository, known, found: now });
    },
    manifest: async () => ok(manifest),
    async fetch(_place: unknown, blobs: readonly { digest: Digest }[]) {
      for (const { digest } of blobs) {
        asked.push(digest);
        value(world.content.putBlob(digest, chart));
      }
      return ok(undefined);
    },
  } as unknown as Packages;
  return { made, tags, asked, layer };
}

describe('rule 51: components', () => {
  const both = () => generation(component('first', { timeout: '1m30s' }), component('second'));

  test('come in the order of the document, each waited for, for as long as it says', async () => {
    value((await runtime().fetch?.(both(), packages().made)) ?? ok(undefined));
    value(await runtime().activate(both(), null));
    const upgrades = lines.filter((line) => line.startsWith('upgrade'));
    expect(upgrades.map((line) => line.split(' ')[1]?.split('-')[0])).toEqual(['first', 'second']);
    expect(upgrades[0]).toContain('--timeout 90s --wait --atomic');
    expect(upgrades[1]).toContain('--timeout 300s --wait --atomic');
  });

  test('one that fails is the last that is begun', async () => {
    value((await runtime().fetch?.(both(), packages().made)) ?? ok(undefined));
    answers.set('upgrade', { code: 1, output: 'Error: timed out waiting for the condition' });
    expect(codeOf(await runtime().activate(both(), null))).toBe('helm.failed');
    expect(lines.filter((line) => line.startsWith('upgrade'))).toHaveLength(1);
  });

  test('a component that left is taken out after the others are in', async () => {
    const one = generation(component('second'));
    for (const of of [both(), one])
      value((await runtime().fetch?.(of, packages().made)) ?? ok(undefined));
    const history = '[{"revision":1,"status":"deployed","description":"another"}]';
    answers.set('history', { code: 0, output: history });
    value(await runtime().activate(one, both()));
    const done = lines.filter((line) => /^(upgrade|uninstall)/.test(line));
    expect(done.map((line) => line.split('-')[0])).toEqual(['upgrade second', 'uninstall first']);
  });
});

describe('rules 56, 57: charts', () => {
  test('come by digest, and are the same afterwards without any registry', async () => {
    const { made, asked, layer } = packages();
    const next = generation(component('web'));
    value((await runtime().fetch?.(next, made)) ?? ok(undefined));
    expect(asked).toEqual(['charts/web:1.0.0', layer.digest]);
    expect(runtime().blobs?.([next])).toEqual(new Set([layer.digest]));
    // Asked again: the tag is looked at, the chart is here.
    value((await runtime().fetch?.(next, made)) ?? ok(undefined));
    expect(asked).toEqual(['charts/web:1.0.0', layer.digest, 'charts/web:1.0.0']);
    value(await runtime().activate(next, null));
    expect(lines.some((line) => line.startsWith('upgrade web-'))).toBe(true);
  });

  test('of a tag that moved are refused, although the chart is known', async () => {
    const { made, tags } = packages();
    const next = generation(component('web'));
    value((await runtime().fetch?.(next, made)) ?? ok(undefined));
    tags.set('1.0.0', sha256(Buffer.from('another manifest')));
    expect(codeOf((await runtime().fetch?.(next, made)) ?? ok())).toBe('package.tag-moved');
    expect(lines).toEqual([]);
  });

  test('are charts: another type of layer is refused before it is fetched', async () => {
    const { made, asked } = packages('application/vnd.oci.image.layer.v1.tar+gzip');
    const next = generation(component('web'));
    expect(codeOf((await runtime().fetch?.(next, made)) ?? ok())).toBe('package.format');
    expect(asked).toEqual(['charts/web:1.0.0']);
  });

  test('that were never fetched, or whose lock was spoilt, are not looked up anew', async () => {
    const next = generation(component('web'));
    expect(codeOf(await runtime().activate(next, null))).toBe('helm.chart');
    value((await runtime().fetch?.(next, packages().made)) ?? ok(undefined));
    const folder = join(world.stateDir, 'helm/line');
    for (const name of readdirSync(folder)) {
      const text = readFileSync(join(folder, name), 'utf8');
      writeFileSync(join(folder, name), text.replace(/web \d+/, 'web 1'));
    }
    expect(codeOf(await runtime().activate(next, null))).toBe('store.checksum');
    expect(lines).toEqual([]);
  });

  test('leave nothing behind when their deployment is gone for good', async () => {
    const next = generation(component('web'));
    value((await runtime().fetch?.(next, packages().made)) ?? ok(undefined));
    expect(value(runtime().left?.() ?? ok([]))).toEqual(['line']);
    value(await runtime().sweep('line', new Set([next.digest])));
    expect(value(runtime().left?.() ?? ok([]))).toEqual(['line']);
    value(await runtime().sweep('line', new Set()));
    expect(value(runtime().left?.() ?? ok([]))).toEqual([]);
  });
});
