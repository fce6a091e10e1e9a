/**
 * Prometheus text on `metrics.listen`, from the same snapshot as the signed status. Counts and
 * points only: no paths, parameters or messages. Names are fixed in docs/formats.md.
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/
 */
import { ok, type Result } from '#errors/fault.ts';
import type { Listener, ServedResponse } from '#platform/listener.ts';
import type { Snapshot } from '#report/deliver.ts';
import type { ChannelStatus } from '#state/status.ts';
import type { MirrorState, Mirrors } from './mirrors.ts';
import { mirrorStates } from './mirrors-view.ts';

export interface MetricsInput {
  snapshot(): Result<Snapshot>;
  mqttUp(): boolean | null;
  /** what is known of the registries; default: nothing is */
  readonly mirrors?: Pick<Mirrors, 'list'>;
  freeBytes(): number | null;
}

/** @param address  host:port; @returns closes the listener */
export async function serveMetrics(
  listener: Listener,
  address: string,
  input: MetricsInput,
): Promise<Result<() => Promise<void>>> {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[|\]$/g, '');
  const on = { kind: 'tcp', host, port: Number(address.slice(colon + 1)) } as const;
  const listening = await listener.listen(on, async ({ method, target }) =>
    answer(method, target, input),
  );
  return listening.ok ? ok(() => listening.value.close()) : listening;
}

function answer(method: string, target: string, input: MetricsInput): ServedResponse {
  if (target.split('?', 1)[0] !== '/metrics') return { status: 404, body: 'see /metrics\n' };
  if (method !== 'GET') return { status: 405, body: 'GET only\n' };
  const snapshot = input.snapshot();
  if (!snapshot.ok) return { status: 503, body: `${snapshot.fault.code}\n` };
  const headers = { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' };
  return { status: 200, headers, body: metricsText(snapshot.value, input) };
}

type Labels = Readonly<Record<string, string>>;

interface Sample {
  readonly name: string;
  readonly help: string;
  readonly labels: Labels;
  readonly value: number | bigint;
}

export function metricsText(
  snapshot: Snapshot,
  { mqttUp, freeBytes, mirrors }: Pick<MetricsInput, 'mqttUp' | 'freeBytes' | 'mirrors'>,
): string {
  const up = mqttUp();
  const free = freeBytes();
  const { deviceId: device, agentVersion: version } = snapshot;
  const attested = Math.floor(snapshot.attestedAt / 1_000);
  const info = { device, version, fleet: snapshot.fleet };
  return format([
    sample('holdfast_info', 'What runs here.', info, 1),
    sample('holdfast_time_grade', 'How the time is known.', { grade: snapshot.timeGrade }, 1),
    sample('holdfast_time_attested_seconds', 'What time was last attested; 0: none.', {}, attested),
    ...(up === null ? [] : [sample('holdfast_mqtt_up', 'The link to the broker.', {}, up ? 1 : 0)]),
    ...(free === null ? [] : [sample('holdfast_free_bytes', 'Free beside stateDir.', {}, free)]),
    ...(mirrors ? mirrorStates(mirrors, snapshot.channels).flatMap(mirrorSamples) : []),
    ...snapshot.channels.flatMap(channelSamples),
  ]);
}

function mirrorSamples({ name, state, channels }: MirrorState): readonly Sample[] {
  const registry = { registry: name };
  const up = state === 'fails' ? 0 : 1;
  return [
    // Nothing is said of one that nobody has asked.
    ...(state === 'not-asked'
      ? []
      : [sample('holdfast_registry_up', 'It answered when it was asked last.', registry, up)]),
    ...channels.map(({ channel, lags }) =>
      sample(
        'holdfast_registry_lags',
        'It shows an older state than is known.',
        { ...registry, channel },
        lags ? 1 : 0,
      ),
    ),
  ];
}

function channelSamples(status: ChannelStatus): readonly Sample[] {
  const { channel, desired, applied, deployments } = status;
  const labels = { channel };
  const points = [
    ['holdfast_desired', 'The highest accepted statement.', desired],
    ['holdfast_applied', 'The statement that is applied and proven.', applied],
  ] as const;
  return [
    ...points.flatMap(([name, help, point]) => [
      sample(`${name}_epoch`, `${help} Its epoch.`, labels, point?.epoch ?? 0n),
      sample(`${name}_sequence`, `${help} Its sequence.`, labels, point?.sequence ?? 0n),
    ]),
    sample('holdfast_phase', 'The phase of the channel.', { ...labels, phase: status.phase }, 1),
    sample('holdfast_degraded', 'Something is not as signed.', labels, status.degraded ? 1 : 0),
    sample('holdfast_held', 'An operator holds it.', labels, status.heldByOperator ? 1 : 0),
    sample('holdfast_refused', 'The last statement was refused.', labels, status.refused ? 1 : 0),
    ...deployments.flatMap(({ id, health, restarts }) => {
      const own = { ...labels, deployment: id };
      const healthy = health === 'healthy' ? 1 : 0;
      return [
        sample('holdfast_deployment_healthy', 'Its checks pass.', own, healthy),
        sample('holdfast_deployment_restarts', 'Restarts of its programs.', own, restarts),
      ];
    }),
  ];
}

function sample(name: string, help: string, labels: Labels, value: number | bigint): Sample {
  return { name, help, labels, value };
}

/** Samples of one name stand together under one HELP and TYPE. */
function format(samples: readonly Sample[]): string {
  const byName = Map.groupBy(samples, ({ name }) => name);
  let text = '';
  for (const [name, group] of byName) {
    text += `# HELP ${name} ${group[0]?.help ?? ''}\n# TYPE ${name} gauge\n`;
    for (const { labels, value } of group) text += `${name}${labelsText(labels)} ${value}\n`;
  }
  return text;
}

function labelsText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}="${escaped(value)}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
