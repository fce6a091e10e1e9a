/**
 * The dashboard and the alerts of docs/grafana ask for what the agent's real endpoint serves: each
 * metric, each label; and Prometheus itself reads every query.
 */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { run } from '../support/command.ts';
import { freePort } from '../support/free-port.ts';
import { program, ROOT } from '../support/parts.ts';
import {
  makePlant,
  missing,
  type Parts,
  type Plant,
  processSpec,
  startParts,
} from '../support/plant.ts';

const real = missing === null ? test : test.skip;
const title = (what: string) => (missing === null ? what : `${what} (${missing})`);
const promtool = program('promtool');
const asked = promtool === null ? test.skip : test;
const tooled = (what: string) => (promtool === null ? `${what} (no promtool)` : what);

interface Dashboard {
  readonly panels: readonly {
    readonly title: string;
    readonly targets: readonly { readonly expr: string }[];
  }[];
  readonly templating: { readonly list: readonly { readonly query: unknown }[] };
}
interface Alerts {
  readonly groups: readonly {
    readonly rules: readonly { readonly alert: string; readonly expr: string }[];
  }[];
}

const text = (name: string) => readFileSync(join(ROOT, 'docs/grafana', name), 'utf8');
const dashboard = JSON.parse(text('holdfast.json')) as Dashboard;
const alerts = parse(text('alerts.yaml')) as Alerts;
const panels = dashboard.panels.flatMap((panel) =>
  panel.targets.map(({ expr }) => [panel.title, expr] as const),
);
const rules = alerts.groups.flatMap((group) =>
  group.rules.map(({ alert, expr }) => [alert, expr] as const),
);
const queries = [...panels, ...rules];

let parts: Parts;
let plant: Plant;
let served = '';
beforeAll(async () => {
  if (missing !== null) return;
  parts = await startParts();
  plant = await makePlant(parts);
  const listen = `127.0.0.1:${await freePort()}`;
  const device = plant.device('press-7', { settings: { metrics: { listen } } });
  plant.write('canary', 'run.sh', '#!/bin/sh\nexec sleep 600\n', 0o755);
  plant.deploy('canary', 'run', processSpec({ blob: 'run.sh' }));
  const { point } = await plant.publish('canary');
  await device.start();
  await device.applied(point);
  served = await (await fetch(`http://${listen}/metrics`)).text();
});
afterAll(async () => {
  await plant?.remove();
  await parts?.remove();
});

test('there are queries to look at', () => {
  expect(panels.length).toBeGreaterThan(10);
  expect(rules.length).toBeGreaterThan(5);
});

real(title('each metric that a query names is served, with the labels that it selects by'), () => {
  const variables = dashboard.templating.list.map(
    ({ query }) => ['variable', JSON.stringify(query)] as const,
  );
  const lost: string[] = [];
  for (const [where, query] of [...queries, ...variables]) {
    for (const [, metric = '', labels = ''] of query.matchAll(
      /\b(holdfast_[a-z_]+)(?:\{([^}]*)\})?/g,
    )) {
      const sample = served
        .split('\n')
        .find((line) => line.startsWith(`${metric}{`) || line.startsWith(`${metric} `));
      if (!sample) lost.push(`${where}: ${metric}`);
      for (const [, label = ''] of labels.matchAll(/(\w+)\s*[=!]/g)) {
        // `instance` and `job` are the collector's.
        if (label !== 'instance' && label !== 'job' && !sample?.includes(`${label}="`)) {
          lost.push(`${where}: ${metric}{${label}}`);
        }
      }
    }
  }
  expect(lost).toEqual([]);
});

asked(tooled('Prometheus reads the alerts, and every query of the dashboard'), async () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-grafana-'));
  const file = join(folder, 'rules.yaml');
  const recorded = panels.map(([, expr], at) => ({
    record: `q${at}`,
    expr: expr.replaceAll('$instance', '.*').replaceAll('$channel', '.*'),
  }));
  writeFileSync(file, JSON.stringify({ groups: [{ name: 'dashboard', rules: recorded }] }));
  for (const checked of [file, join(ROOT, 'docs/grafana/alerts.yaml')]) {
    const told = await run([promtool ?? '', 'check', 'rules', checked]);
    expect(`${told.code} ${told.err}`).toBe('0 ');
  }
  rmSync(folder, { recursive: true });
});

asked(tooled('Prometheus has nothing to say against the endpoint'), async () => {
  if (served === '') return;
  const told = await run([promtool ?? '', 'check', 'metrics'], { input: served });
  expect(told.err).not.toMatch(/error/i);
});
