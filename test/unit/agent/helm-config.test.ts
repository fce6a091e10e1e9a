/** `runtimes.helm` of agent.yaml, and what `doctor` says of it. */
import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseConfig } from '#agent/config.ts';
import { helmFindings } from '#agent/doctor-helm.ts';
import { ok } from '#errors/fault.ts';
import type { RunEnd } from '#platform/processes.ts';
import { MEDIA } from '#state/media-types.ts';
import { readDeployment } from '#wire/deployment.ts';
import { bytesOf, granted, messageOf } from '../../support/wire-samples.ts';

const AGENT = `apiVersion: holdfast/v1
kind: Agent
trust: { root: root.json }
channels: [{ name: stable, allow: { runtimes: [files, helm] } }]
`;
const read = (more = '') => parseConfig(bytesOf(AGENT + more), '/etc/holdfast/agent.yaml');
const HELM = 'runtimes: { helm: { kubeconfig: kube/config, namespaces: [plant-a] } }\n';

test('a kubeconfig beside the file, and where helm may install', () => {
  expect(granted(read(HELM)).helm).toEqual({
    ...{ path: null, kubeconfig: '/etc/holdfast/kube/config', context: null },
    namespaces: ['plant-a'],
  });
  expect(granted(read()).helm).toBeNull();
  expect(messageOf(read('runtimes: { helm: { path: helm } }\n'))).toContain('agent.yaml:5:');
  expect(messageOf(read(HELM.replace('plant-a', 'Plant_A')))).toContain('a namespace');
});

describe('doctor', () => {
  const say = async (more: string, ends: readonly Partial<RunEnd>[]) => {
    let calls = 0;
    const stat = () => ok({ kind: 'file' });
    const platform = {
      files: { open: () => ok({ stat, close: () => undefined }) },
      clock: {},
      processes: {
        async run() {
          calls += 1;
          return ok({ code: 0, signal: null, timedOut: false, output: '', ...ends[calls - 1] });
        },
      },
    };
    const findings = await helmFindings(platform as never, granted(read(more)));
    return findings.map(({ severity, code, message }) => [severity, code, message] as const);
  };

  test('a channel that may run charts without a cluster', async () => {
    expect(await say('', [])).toEqual([
      ['error', 'helm.not-configured', expect.stringContaining('channel stable')],
    ]);
  });

  test('a helm that answers, one that is too old, a cluster that is away', async () => {
    expect(await say(HELM, [{ output: 'v3.18.6+gabc\n' }])).toEqual([
      ['ok', '', expect.stringContaining('helm v3.18.6')],
    ]);
    expect((await say(HELM, [{ output: 'v3.5.1\n' }]))[0]?.[1]).toBe('helm.missing');
    expect((await say(HELM, [{ output: 'v4.0.0\n' }]))[0]?.[0]).toBe('ok');
    const away = { code: 1, output: 'Error: Kubernetes cluster unreachable: x' };
    expect((await say(HELM, [{ output: 'v3.18.6' }, away]))[0]?.[1]).toBe('helm.unreachable');
  });
});

test('the examples of docs/helm.md read', () => {
  const page = readFileSync(join(import.meta.dir, '../../../docs/helm.md'), 'utf8');
  const [config = '', document = ''] = [...page.matchAll(/^```\n([\s\S]*?)^```/gm)].map(
    ([, text]) => text ?? '',
  );
  const margo = `margo:
  url: https://wfm.example
  authority: tls
  identity: { cert: svid.pem, key: svid.key, trustBundle: bundle.json }
`;
  const text = AGENT.replace(/channels:.*\n/, '') + config + margo;
  expect(granted(parseConfig(bytesOf(text), '/etc/holdfast/agent.yaml')).helm).toMatchObject({
    ...{ kubeconfig: '/etc/rancher/k3s/k3s.yaml', namespaces: ['plant-a'] },
  });
  const where = { id: 'recipes', file: 'recipes.yaml' };
  const read = granted(readDeployment(bytesOf(document), MEDIA.deployment, where));
  expect(read.profile).toMatchObject({ kind: 'other', type: 'helm' });
});
