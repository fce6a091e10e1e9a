/**
 * What both dialects of a deployment share, as schemas whose output is `state/deployment`: profiles
 * `files` and `process`, health checks, data directories, parameters. Mappings are closed.
 * Rules across fields (names that must exist, things that stand twice) are deployment-rules.ts.
 */
import * as v from 'valibot';
import type {
  DataDirectory,
  FilesComponent,
  HealthCheck,
  Parameter,
  ParameterTarget,
  ParameterValue,
  Probe,
  ProcessComponent,
} from '#state/deployment.ts';
import {
  absolutePath,
  argument,
  blobCommand,
  blobName,
  componentName,
  deviceCommand,
  idText,
  line,
  mode,
  owner,
  parameterName,
  targetPath,
  user,
  variableName,
} from './deployment-text.ts';
import { valueName } from './values.ts';
import { byteSize, closed, duration } from './yaml.ts';

const COMPONENTS_MAX = 256;
const PARAMETERS_MAX = 256;
const CHECKS_MAX = 64;
const YES_OR_NO = 'true or false';

export const dependsOn = v.optional(list(idText(), COMPONENTS_MAX), []);
export const drift = v.optional(v.picklist(['repair', 'report'], 'repair or report'), 'repair');

const filesComponent = v.pipe(
  closed({
    name: componentName(),
    properties: closed({
      blob: blobName(),
      target: targetPath(),
      mode: v.optional(mode(), '0644'),
      owner: v.optional(owner()),
      adopt: v.optional(v.boolean(YES_OR_NO), false),
      once: v.optional(v.boolean(YES_OR_NO), false),
    }),
  }),
  v.transform(
    ({ name, properties }): FilesComponent => ({
      ...properties,
      name,
      owner: properties.owner ?? null,
    }),
  ),
);

const reload = closed({
  reload: v.optional(
    v.pipe(
      closed({ command: deviceCommand(), timeout: v.optional(duration(), '10s') }),
      v.transform(({ command, timeout }) => ({ command, timeoutMs: timeout })),
    ),
  ),
});

/** Entries of `deploymentProfile` with `type: files`. */
export const filesEntries = {
  components: components(filesComponent),
  hooks: v.optional(reload, {}),
};

const restart = v.pipe(
  closed({
    backoff: v.optional(atLeast(100), '1s'),
    backoffMax: v.optional(atLeast(100), '1m'),
  }),
  v.check(({ backoff, backoffMax }) => backoff <= backoffMax, 'a backoffMax not below backoff'),
  v.transform(({ backoff, backoffMax }) => ({ backoffMs: backoff, backoffMaxMs: backoffMax })),
);

const signals = ['SIGTERM', 'SIGINT', 'SIGQUIT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const;
const stop = v.pipe(
  closed({
    signal: v.optional(v.picklist(signals, signals.join(', ')), 'SIGTERM'),
    timeout: v.optional(duration(), '10s'),
  }),
  v.transform(({ signal, timeout }) => ({ signal, timeoutMs: timeout })),
);

const logs = v.pipe(
  closed({
    maxSize: v.optional(
      v.pipe(
        byteSize(),
        v.minValue(4_096, 'a size of at least 4Ki'),
        v.maxValue(2 ** 30, 'a size of at most 1Gi'),
      ),
      '1Mi',
    ),
    files: v.optional(whole(1, 100), 3),
  }),
  v.transform(({ maxSize, files }) => ({ maxBytes: maxSize, files })),
);

const processComponent = v.pipe(
  closed({
    name: componentName(),
    properties: closed({
      blob: blobName(),
      command: v.optional(blobCommand()),
      env: v.optional(v.record(variableName(), argument(), 'a mapping of texts'), {}),
      user: v.optional(user()),
      workingDirectory: v.optional(v.union([absolutePath(), v.literal('/')], 'an absolute path')),
      restart: v.optional(restart, {}),
      stop: v.optional(stop, {}),
      aliveFor: v.optional(duration(), '1s'),
      logs: v.optional(logs, {}),
    }),
  }),
  v.transform(({ name, properties: { aliveFor, ...rest } }): ProcessComponent => {
    const program = rest.blob.split('/').at(-1) ?? rest.blob;
    return {
      ...rest,
      name,
      command: rest.command ?? [program],
      user: rest.user ?? null,
      workingDirectory: rest.workingDirectory ?? null,
      aliveForMs: aliveFor,
    };
  }),
);

/** Entries of `deploymentProfile` with `type: process`. */
export const processEntries = { components: components(processComponent) };

const HTTP =
  /^https?:\/\/(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?(?:[/?][^\s#]*)?$/;
const HOST = /^(?:[A-Za-z0-9.-]{1,253}|[0-9A-Fa-f:.]{2,45})$/;
const KINDS = 'one of http, tcp and exec';

const healthCheck = v.pipe(
  closed({
    name: componentName(),
    http: v.optional(
      closed({
        url: text(
          (url) => url.length <= 2_048 && HTTP.test(url) && !url.includes('${'),
          'a URL such as "http://127.0.0.1:8080/", with nothing to be filled in',
        ),
        status: v.optional(whole(100, 599)),
      }),
    ),
    tcp: v.optional(
      closed({
        host: text((host) => HOST.test(host), 'a host name or address'),
        port: whole(1, 65_535),
      }),
    ),
    exec: v.optional(closed({ command: deviceCommand() })),
    startPeriod: v.optional(duration(), '0s'),
    interval: v.optional(atLeast(100), '2s'),
    timeout: v.optional(atLeast(1), '2s'),
    retries: v.optional(whole(1, 1_000), 3),
  }),
  v.check(({ name }) => name !== 'alive', 'another name than "alive", which every process has'),
  v.rawTransform(({ dataset, addIssue, NEVER }): HealthCheck => {
    const { name, http, tcp, exec, startPeriod, interval, timeout, retries } = dataset.value;
    const probes: Probe[] = [];
    if (http) probes.push({ kind: 'http', url: http.url, status: http.status ?? null });
    if (tcp) probes.push({ kind: 'tcp', ...tcp });
    if (exec) probes.push({ kind: 'exec', ...exec });
    const [probe, ...more] = probes;
    if (probe === undefined || more.length > 0) {
      addIssue({ message: KINDS });
      return NEVER;
    }
    const times = { startPeriodMs: startPeriod, intervalMs: interval, timeoutMs: timeout };
    return { name, probe, retries, ...times };
  }),
);

export const health = v.optional(list(healthCheck, CHECKS_MAX), []);

const dataDirectory = v.pipe(
  closed({
    path: absolutePath(),
    mode: v.optional(mode(), '0750'),
    owner: v.optional(owner()),
    onRemove: v.optional(v.picklist(['keep', 'purge'], 'keep or purge'), 'keep'),
  }),
  v.transform((entry): DataDirectory => ({ ...entry, owner: entry.owner ?? null })),
);

export const data = v.optional(list(dataDirectory, CHECKS_MAX), []);

const SCALAR = 'text, a number, or true or false';
const valueFrom = v.pipe(
  closed({
    device: v.optional(v.literal('id', 'id')),
    deviceLabel: v.optional(line()),
    deviceValue: v.optional(valueName()),
  }),
  v.rawTransform(({ dataset, addIssue, NEVER }): ParameterValue => {
    const { device, deviceLabel, deviceValue } = dataset.value;
    const values: ParameterValue[] = [];
    if (device !== undefined) values.push({ kind: 'device-id' });
    if (deviceLabel !== undefined) values.push({ kind: 'device-label', label: deviceLabel });
    if (deviceValue !== undefined) values.push({ kind: 'device-value', name: deviceValue });
    const [value, ...more] = values;
    if (value !== undefined && more.length === 0) return value;
    addIssue({ message: 'one of device, deviceLabel and deviceValue' });
    return NEVER;
  }),
);

/** Numbers and booleans in their JSON spelling, lists as JSON text (MARGO.md section 5). */
const literal = v.pipe(
  v.union(
    [argument(), v.number(), v.boolean(), v.array(v.union([v.string(), v.number(), v.boolean()]))],
    SCALAR,
  ),
  v.transform(
    (value): ParameterValue => ({
      kind: 'literal',
      text: typeof value === 'string' ? value : JSON.stringify(value),
      ...(typeof value !== 'string' && { typed: value }),
    }),
  ),
);

/** `ENV.NAME` is how old documents write NAME. */
const target = v.pipe(
  closed({
    pointer: v.pipe(
      line(),
      v.transform((pointer) => pointer.replace(/^ENV\./, '')),
    ),
    components: v.pipe(list(componentName(), COMPONENTS_MAX), v.minLength(1, 'at least one name')),
    as: v.optional(v.picklist(['value', 'file'], 'value or file'), 'value'),
  }),
  v.transform(({ as, ...rest }): ParameterTarget => (as === 'file' ? { ...rest, as } : rest)),
);

const parameter = v.pipe(
  closed({
    value: v.optional(literal),
    valueFrom: v.optional(valueFrom),
    targets: v.optional(list(target, COMPONENTS_MAX), []),
  }),
  v.rawTransform(({ dataset, addIssue, NEVER }): Omit<Parameter, 'name'> => {
    const { value, valueFrom: from, targets } = dataset.value;
    const chosen = value ?? from;
    if (chosen !== undefined && (value === undefined || from === undefined)) {
      return { value: chosen, targets };
    }
    addIssue({ message: 'one of value and valueFrom' });
    return NEVER;
  }),
);

export const parameters = v.optional(
  v.pipe(
    v.record(parameterName(), parameter, 'a mapping of parameters'),
    v.transform((all) => Object.entries(all).map(([name, one]): Parameter => ({ name, ...one }))),
    v.maxLength(PARAMETERS_MAX, `at most ${PARAMETERS_MAX} parameters`),
  ),
  {},
);

function components<Component extends v.GenericSchema>(component: Component) {
  return v.pipe(list(component, COMPONENTS_MAX), v.minLength(1, 'at least one component'));
}

function list<Item extends v.GenericSchema>(item: Item, max: number) {
  return v.pipe(v.array(item, 'a list'), v.maxLength(max, `at most ${max} entries`));
}

function atLeast(minMs: number) {
  return v.pipe(duration(), v.minValue(minMs, `a duration of at least ${minMs}ms`));
}

function whole(min: number, max: number) {
  const expected = `a whole number from ${min} to ${max}`;
  return v.pipe(
    v.number(expected),
    v.integer(expected),
    v.minValue(min, expected),
    v.maxValue(max, expected),
  );
}

function text(test: (value: string) => boolean, expected: string) {
  return v.pipe(v.string(expected), v.check(test, expected));
}
