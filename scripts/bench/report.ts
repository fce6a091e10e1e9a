/** The result of `npm run bench` as tables. Ratios are against what ran in between, in the same run. */

import type { ChangesResult, Measured } from './changes.ts';
import { median, number, percentile, table } from './counters.ts';
import type { AgentChange } from './device.ts';
import { type BenchResult, TRACED } from './measure.ts';
import type { NativeChange } from './native.ts';

const PERCENTS = [50, 90, 99] as const;
const KIB = 1_024;
const MIB = 1_024 * 1_024;

export function render(result: BenchResult): string {
  const { machine, servers, files } = result;
  return [
    `${machine}; ${servers}`,
    changesText(result),
    ratiosText(files),
    breakdownText(files),
    costText(result),
    pollText(result),
    idleText(result),
  ].join('\n\n');
}

function changesText({ files, window, process }: BenchResult): string {
  const rows: [string, readonly Measured<unknown>[]][] = [
    ['holdfast: a file, no checks', files.holdfast],
    ['native, the same requests', files.same],
    ['native, as designed (HEAD + 3 GETs)', files.designed],
    ['holdfast: a file, window 1 s', window.holdfast],
    ['holdfast: a program, alive 1 s', process.holdfast],
  ];
  const lines = rows.flatMap(([name, measured]) =>
    measured.length === 0 ? [] : [[name, String(measured.length), ...percents(totals(measured))]],
  );
  const head = [
    'manifest acknowledged → commit returned, ms',
    'n',
    ...PERCENTS.map((p) => `p${p}`),
  ];
  return table(head, lines);
}

function ratiosText({ holdfast, same, designed }: ChangesResult): string {
  if (same.length === 0) return 'nothing native to compare with';
  const rows = [
    ['÷ native as designed', designed],
    ['÷ native, the same requests', same],
  ] as const;
  const head = ['holdfast, a file', ...PERCENTS.map((p) => `p${p}`), 'by round, median'];
  return table(
    head,
    rows.map(([name, native]) => [
      name,
      ...PERCENTS.map((p) => {
        return `${number(percentile(totals(holdfast), p) / percentile(totals(native), p))}×`;
      }),
      `${number(median(holdfast.map((one, at) => one.totalMs / (native[at]?.totalMs ?? 1))))}×`,
    ]),
  );
}

const totals = (measured: readonly Measured<unknown>[]): readonly number[] =>
  measured.map(({ totalMs }) => totalMs);

const percents = (values: readonly number[]): readonly string[] =>
  PERCENTS.map((p) => number(percentile(values, p)));

/** Nudge: from the acknowledged manifest to the wake. Disk: staging, commits, switch. */
function breakdownText({ holdfast, same, designed }: ChangesResult): string {
  const of = (name: string, read: (change: AgentChange) => number) => [
    name,
    ...percents(holdfast.map(({ change }) => read(change))),
  ];
  const head = ['where it goes, ms', ...PERCENTS.map((p) => `p${p}`)];
  const nudges = holdfast.map(({ totalMs, change }) => {
    return totalMs - (change.endedMs - change.wokenMs);
  });
  const rows = [
    ['nudge', ...percents(nudges)],
    of('fetch', ({ fetchMs }) => fetchMs),
    of('verify', ({ verifyMs }) => verifyMs),
    of('plan', ({ planMs }) => planMs),
    of('disk', ({ diskMs }) => diskMs),
    of('health', ({ healthMs }) => healthMs),
  ];
  return table(head, [...rows, ...nativeRows('same', same), ...nativeRows('designed', designed)]);
}

function nativeRows(name: string, measured: readonly Measured<NativeChange>[]) {
  if (measured.length === 0) return [];
  const of = (part: string, read: (change: NativeChange) => number) => [
    `native ${name}: ${part}`,
    ...percents(measured.map(({ change }) => read(change))),
  ];
  return [
    of('fetch', ({ httpMs }) => httpMs),
    of('verify', ({ cryptoMs }) => cryptoMs),
    of('disk', ({ fileMs, commitMs }) => fileMs + commitMs),
  ];
}

function costText({ files, calls }: BenchResult): string {
  const n = files.holdfast.length;
  const rows = [
    ['CPU, ms', number(files.cost.cpuMs / n)],
    ['written to the disk, KB', number(files.cost.written / n / KIB)],
    ['context switches', number(files.cost.switches / n, 0)],
  ];
  if (files.nativeCost) {
    const { cpuMs, written } = files.nativeCost;
    rows.push(['native: CPU, ms', number(cpuMs / n / 2)]);
    rows.push(['native: written, KB', number(written / n / 2 / KIB)]);
  }
  if (calls) {
    rows.push(['fsyncs', number(calls.syncs / TRACED, 1)]);
    rows.push(['commits', number(calls.commits / TRACED, 1)]);
    rows.push(['received (HTTP, MQTT), KB', number(calls.received / TRACED / KIB)]);
    rows.push(['requests', number(calls.requests.length / TRACED, 1)]);
  }
  return table(['one change of a file', 'mean'], rows);
}

function pollText({ poll }: BenchResult): string {
  const { calls } = poll;
  const rows = [
    ['wall, ms', number(median(poll.wallMs))],
    ['CPU, ms', number(poll.cpuMs)],
    ['written, bytes', String(poll.written)],
    ...(calls
      ? [
          ['requests', requestsText(calls.requests)],
          ['received, bytes', String(calls.received)],
          ['fsyncs', String(calls.syncs)],
        ]
      : []),
  ];
  return table(['a poll that finds nothing new', ''], rows);
}

/** The control request that asked for the poll is not the poll's. */
function requestsText(requests: readonly string[]): string {
  return requests
    .filter((line) => line.includes('/v2/'))
    .map((line) => line.split(' ')[0])
    .join(' ');
}

function idleText({ idle, readyMs, plan }: BenchResult): string {
  const { agent, bare } = idle;
  const perMinute = (value: number) => number((value / plan.idleSeconds) * 60);
  const rows = [agent, bare].map((one, at) => [
    at === 0 ? 'holdfast' : 'bare Bun, mqtt.js, lmdb',
    number(one.privateDirty / MIB),
    number(one.pss / MIB),
    perMinute(one.cpuMs),
    perMinute(one.switches),
    String(one.written),
  ]);
  const head = [
    `${plan.idleSeconds} s of nothing after ${plan.warmSeconds} s`,
    'Private_Dirty MB',
    'PSS MB',
    'CPU ms/min',
    'switches/min',
    'bytes written',
  ];
  const ratio = `switches: ${number(agent.switches / bare.switches)}× bare`;
  return `${table(head, rows)}\n${ratio}\n\nstart to ready: ${number(median(readyMs))} ms (median of ${readyMs.length})`;
}
