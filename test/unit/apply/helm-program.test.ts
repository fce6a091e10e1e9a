/** The command lines of helm, what reaches its environment, and what its failures are called. */
import { describe, expect, test } from 'bun:test';
import type { HelmRelease } from '#apply/runtimes/helm-component.ts';
import { helmProgram } from '#apply/runtimes/helm-program.ts';
import { ok, refuse } from '#errors/fault.ts';
import type { Instance, Processes, Program, RunEnd } from '#platform/processes.ts';
import { codeOf, value } from '../../support/store.ts';

const RELEASE: HelmRelease = {
  ...{ deployment: 'd', component: 'web', name: 'web-1', namespace: 'plant-a' },
  ...{ wait: true, timeoutMs: 90_000, values: '{}\n', chart: { kind: 'blob', name: 'b' } },
};
const AT = { chart: '/run/c.tgz', values: '/run/v.json' };

interface Ran {
  readonly program: Omit<Program, 'output'>;
  readonly timeoutMs: number;
}

function world(ends: readonly Partial<RunEnd>[], left: readonly Partial<Instance>[] = []) {
  const ran: Ran[] = [];
  const killed: number[] = [];
  let ms = 0;
  const processes = {
    async run(program: Omit<Program, 'output'>, timeoutMs: number) {
      const end = ends[ran.length] ?? {};
      ran.push({ program, timeoutMs });
      return ok({ code: 0, signal: null, timedOut: false, output: '', ...end });
    },
    instances: () => ok(left),
    signalSession: (session: number) => ok(killed.push(session)),
    self: { uid: 7 },
  } as unknown as Processes;
  const open = () => ok({ stat: () => ok({ kind: 'file' }), close: () => undefined });
  const made = helmProgram({
    files: { open } as never,
    processes,
    clock: {
      monotonicMs: () => ms,
      async sleep(more: number) {
        ms += more;
      },
    } as never,
    ...{ runDir: '/run/hf', storeId: 'abc' },
    settings: { path: '/bin/helm', kubeconfig: '/k/config', context: 'plant', namespaces: null },
  });
  return { made, ran, killed };
}
const lineOf = ({ program }: Ran) => program.command.join(' ');

describe('command lines', () => {
  test('an upgrade waits, takes itself back, and has its values in a file', async () => {
    const { made, ran } = world([]);
    value(await made.upgrade(RELEASE, AT, 'holdfast sha256:aa'));
    expect(ran.map(lineOf)).toEqual([
      '/bin/helm upgrade web-1 /run/c.tgz --install --namespace plant-a --create-namespace ' +
        '--values /run/v.json --timeout 90s --wait --atomic --history-max 10 ' +
        '--description holdfast sha256:aa --kube-context plant',
    ]);
    // Once for itself, once for what it goes back to, and a minute.
    expect(ran[0]?.timeoutMs).toBe(240_000);
    expect(ran[0]?.program.env).toMatchObject({
      ...{ KUBECONFIG: '/k/config', HOME: '/run/hf/helm/home' },
      ...{ HOLDFAST_INSTANCE: 'abc/helm', HOLDFAST_COMPONENT: 'plant-a/web-1' },
    });
  });

  test('without wait, it neither waits nor takes itself back', async () => {
    const { made, ran } = world([]);
    value(await made.upgrade({ ...RELEASE, wait: false }, AT, 'm'));
    expect(lineOf(ran[0] as Ran)).not.toMatch(/--wait|--atomic/);
  });

  test('rollback, uninstall, history: in the namespace, without values', async () => {
    const { made, ran } = world([{}, {}, { output: 'W0 odd\n[]\n' }]);
    value(await made.rollback(RELEASE, 4));
    value(await made.uninstall(RELEASE));
    expect(value(await made.revisions(RELEASE))).toEqual([]);
    expect(ran.map(lineOf)).toEqual([
      '/bin/helm rollback web-1 4 --namespace plant-a --timeout 90s --wait --history-max 10 --kube-context plant',
      '/bin/helm uninstall web-1 --namespace plant-a --wait --timeout 90s --kube-context plant',
      '/bin/helm history web-1 --namespace plant-a --max 10 --output json --kube-context plant',
    ]);
    expect(ran[2]?.program.env).not.toHaveProperty('HOLDFAST_INSTANCE');
  });

  test('a history that is too long is asked for shorter', async () => {
    const whole = '[{"revision":2,"status":"deployed","description":"holdfast x"}]';
    const { made, ran } = world([{ output: `ription":"cut"}]` }, { output: whole }]);
    const found = value(await made.revisions(RELEASE));
    expect(found).toEqual([{ number: 2, status: 'deployed', description: 'holdfast x' }]);
    expect(ran.map((one) => /--max (\d+)/.exec(lineOf(one))?.[1])).toEqual(['10', '2']);
    const never = world([{ output: 'x' }, { output: 'x' }, { output: '[{]' }]);
    expect(codeOf(await never.made.revisions(RELEASE))).toBe('helm.failed');
  });
});

describe('failures', () => {
  const ended = (output: string, more: Partial<RunEnd> = {}) => [{ code: 1, output, ...more }];
  for (const [output, code] of [
    [
      'Error: Kubernetes cluster unreachable: Get "https://x": dial tcp: refused',
      'helm.unreachable',
    ],
    [
      'Error: Get "https://x": dial tcp 1.2.3.4:6443: connect: connection refused',
      'helm.unreachable',
    ],
    [
      'Error: UPGRADE FAILED: release web-1 failed, and has been rolled back due to atomic being set: connection refused',
      'helm.failed',
    ],
    ['Error: UPGRADE FAILED: context deadline exceeded', 'helm.failed'],
    ['Error: the server rejected our request', 'helm.failed'],
  ] as const) {
    test(`${output.slice(0, 60)}: ${code}`, async () => {
      const { made } = world(ended(output));
      expect(codeOf(await made.upgrade(RELEASE, AT, 'm'))).toBe(code);
    });
  }

  test('one that does not end in its time has failed, whatever its code', async () => {
    const { made } = world([{ code: 0, timedOut: true }]);
    expect(codeOf(await made.uninstall(RELEASE))).toBe('helm.failed');
  });

  test('what helm says against a chart is final', async () => {
    const { made } = world(ended('Error: chart requires kubeVersion: >=9'));
    const judged = await made.template(RELEASE, AT);
    expect(codeOf(judged)).toBe('helm.chart');
  });

  test('a program that cannot be started is missing', async () => {
    const { made } = world([]);
    const gone = refuse('platform.exec', { path: '/bin/helm', reason: 'no' } as never);
    const broken = helmProgram({
      ...{ files: { open: () => ok({ stat: () => ok({ kind: 'file' }), close() {} }) } as never },
      processes: { run: async () => gone } as never,
      ...{ clock: {} as never, runDir: '/r', storeId: 's' },
      settings: { path: '/bin/helm', kubeconfig: '/k', context: null, namespaces: null },
    });
    expect(codeOf(await broken.version())).toBe('helm.missing');
    expect(codeOf(await made.version())).toBe('ok');
  });
});

describe('a helm that outlived its agent', () => {
  const mine = { instance: 'abc/helm', component: 'plant-a/web-1', uid: 7, session: 31 };

  test('is none where the mark, the release or the user is another one', async () => {
    const others = [
      { ...mine, instance: 'other/helm' },
      { ...mine, component: 'plant-a/web-2' },
      { ...mine, uid: 8 },
    ];
    const { made, killed } = world([], others);
    value(await made.endLeft(RELEASE));
    expect(killed).toEqual([]);
  });

  test('helm.locked: one that does not die is told, in bounded time', async () => {
    const { made, killed } = world([], [mine]);
    expect(codeOf(await made.endLeft(RELEASE))).toBe('helm.locked');
    expect(new Set(killed)).toEqual(new Set([31]));
  });
});
