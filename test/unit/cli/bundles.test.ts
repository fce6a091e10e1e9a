/** `holdfast bundles` and `consent`: what a person sees, and that nothing else is applied. */
import { afterEach, describe, expect, test } from 'bun:test';
import type { BundleView, ControlHandlers, ProgressLine } from '#control/api.ts';
import { serveControl } from '#control/server.ts';
import { ok } from '#errors/fault.ts';
import { systemListener } from '#platform/node/listener.ts';
import { type Desk, openDesk } from '../../support/desk.ts';
import { scratch, value } from '../../support/store.ts';

const plan = (speed: number): BundleView['plan'] => ({
  ...{ result: 'changes', offered: `1.${speed}`, applied: '1.1', fault: null, unchanged: 0 },
  steps: [
    {
      action: 'update',
      deployment: 'conf',
      runtime: 'files',
      restarts: false,
      targets: ['/opt/a'],
    },
  ],
  downloads: { blobs: 1, bytes: 8 },
  waits: null,
});
const offered = (path: string, speed: number): BundleView => ({
  ...{ path, state: 'offered', channel: 'stable', point: `1.${speed}`, plan: plan(speed) },
  ...{ fault: null, nextReadMs: null, more: [] },
});
const damaged: BundleView = {
  ...{ path: '/media/b.tar', state: 'refused', channel: '', point: null, plan: null },
  fault: { code: 'source.layout', message: 'it is no layout', remedy: 'Make it again.' },
  ...{ nextReadMs: 9_500, more: [] },
};

let close: () => Promise<void> = async () => undefined;
let desk: Desk;
afterEach(async () => {
  await close();
  desk.remove();
});

/** @param lists  what lies there, at the first question, the second, … */
async function agentWith(...lists: readonly (readonly BundleView[])[]) {
  const place = scratch('consent');
  const applied: (string | null)[] = [];
  let asked = 0;
  const end: ProgressLine = {
    kind: 'end',
    result: 'applied',
    offered: '1.2',
    tookMs: 3,
    fault: null,
  };
  const handlers = {
    bundles: async () => {
      asked += 1;
      return ok(lists[Math.min(asked, lists.length) - 1] ?? []);
    },
    apply: async (bundle: string | null) => {
      applied.push(bundle);
      return end;
    },
  } as unknown as ControlHandlers;
  const sockets = { runDir: place.path, group: 'no-such-group', statusMode: 0o666 };
  const stop = value(await serveControl(systemListener(), sockets, handlers));
  close = async () => {
    await stop();
    place.remove();
  };
  desk = openDesk();
  const run = (args: readonly string[], answers?: readonly string[]) =>
    desk.run([...args, '--run-dir', place.path], answers);
  return { run, applied };
}

describe('holdfast bundles', () => {
  test('says of each what it is, why it is refused, the cure, and when it is read again', async () => {
    const { run } = await agentWith([offered('/media/a', 2), damaged]);
    const { out, code } = await run(['bundles']);
    expect(out).toContain('/media/a  stable 1.2 waits for consent: holdfast consent');
    expect(out).toMatch(/update\s+conf\s+files\s+\/opt\/a/);
    expect(out).toContain('/media/b.tar  is refused (read again in 10 s)');
    expect(out).toContain('source.layout: it is no layout\n  → Make it again.');
    expect(code).toBe(1);
  });

  test('with nothing there says so and ends with 0; with -q says nothing', async () => {
    const { run } = await agentWith([]);
    expect(await run(['bundles'])).toMatchObject({
      code: 0,
      out: expect.stringContaining('Nothing'),
    });
    expect(await run(['bundles', '-q'])).toMatchObject({ code: 0, out: '' });
  });
});

describe('holdfast consent', () => {
  test('shows what it would change, asks, and applies that one', async () => {
    const { run, applied } = await agentWith([offered('/media/a', 2), damaged]);
    const { code, err } = await run(['consent'], ['y']);
    expect(err).toContain('update');
    expect([code, applied]).toEqual([0, ['/media/a']]);
  });

  test('shows and binds what it offers to other channels of the device, values among them', async () => {
    const values = { ...plan(1), result: 'values', steps: [] } as BundleView['plan'];
    const oem = { channel: 'oem', point: '1.9', plan: plan(9) };
    const both = {
      ...offered('/media/a', 2),
      more: [oem, { ...oem, channel: 'device.a', plan: values }],
    };
    const other = { ...both, more: [{ ...oem, point: '1.10' }] };
    const { run, applied } = await agentWith([both], [other]);
    const { err } = await run(['consent'], ['y']);
    expect(err).toContain('  and oem 1.9\n');
    expect(err).toContain('  and device.a 1.9\n  new values of this device\n');
    expect(err).toContain('agent.bundle-changed');
    expect(applied).toEqual([]);
  });

  test('control.not-confirmed: no, or nobody to ask', async () => {
    const { run, applied } = await agentWith([offered('/media/a', 2)]);
    expect((await run(['consent'], ['n'])).err).toContain('control.not-confirmed');
    expect(applied).toEqual([]);
  });

  test('agent.bundle-changed: the stick says something else by the time of the answer', async () => {
    const { run, applied } = await agentWith([offered('/media/a', 2)], [offered('/media/a', 3)]);
    const { err, code } = await run(['consent'], ['y']);
    expect(err).toContain('agent.bundle-changed');
    expect([code !== 0, applied]).toEqual([true, []]);
  });

  test.each([
    ['nothing waits', [damaged], []],
    ['two wait and none is named', [offered('/media/a', 2), offered('/media/b', 2)], []],
    ['another one is named', [offered('/media/a', 2)], ['/media/z']],
  ])('agent.no-consent: %s', async (_, list, named) => {
    const { run, applied } = await agentWith(list);
    expect((await run(['consent', '-y', ...named])).err).toContain('agent.no-consent');
    expect(applied).toEqual([]);
  });
});
