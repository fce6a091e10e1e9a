/**
 * Every key of agent.yaml is used by an end-to-end test against a real part. The table names the
 * test; a key of the schema that is not in it fails, as does a row whose test is gone or whose file
 * does not set the key.
 */
import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { agentSchema } from '#agent/config.ts';

const CHANGE =
  'e2e-change: by a nudge: the file, the program and the signed status are the new ones';
const REGISTRY_TLS = 'e2e-auth: the state is published and applied';
const BROKER = 'e2e-auth: nudged, applied, and the signed status comes back';
const PASSWORD = 'e2e-auth: applies with it; without and with a wrong one ends with 4';
const PROXIED = 'e2e-config: registry and broker are reached through a proxy that knows CONNECT';

const TIME_HTTP = 'time: at 1970, over HTTP alone, and with a link to nobody it starts what it had';
const TIME_TLS =
  'time: over HTTPS through a proxy, by the right CA; by another one nobody is asked';

const HELM =
  'margo-helm: rules 51, 54, 55: the profile is offered, a chart installed with its values, and told';
const COMPOSE =
  'compose-bundle: an application comes from a stick with its images, is updated, and keeps its data';
const PRIVATE =
  'compose-private: images come from a private registry with a password that is sealed to this device';
const HOURS = 'margo-hours: rule 69: a change begins in the window alone; until then it is pending';
const QUIET = 'margo-hours: rule 69: in a downtime the manager hears nothing';
const GATEWAY = 'margo-gateway: rules 12, 17: the gateway tells of itself, then of its children';

const MARGO = 'margo-ways: every key of the section margo, through a proxy';

/** One reader serves every registry: `registries`, `packages.registries` and `margo.oci`. */
const REPOSITORY: Readonly<Record<string, string>> = {
  url: CHANGE,
  'auth.usernameFile': PASSWORD,
  'auth.passwordFile': PASSWORD,
  'auth.tokenFile': 'e2e-auth: a token of the owner from a file is sent as it is',
  'tls.ca': REGISTRY_TLS,
  'tls.cert': REGISTRY_TLS,
  'tls.key': REGISTRY_TLS,
  proxy: PROXIED,
  'proxyAuth.usernameFile': PROXIED,
  'proxyAuth.passwordFile': PROXIED,
  insecure: 'e2e-config: plain transport to another host needs insecure',
};
const under = (
  at: string,
  keys: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(keys).map(([key, where]) => [`${at}.${key}`, where]));

const windowKeys = (where: string): Readonly<Record<string, string>> => ({
  ...{ days: where, start: where, duration: where, timeZone: where },
});

/** Key → `file: part of the title` of the test. */
const USED: Readonly<Record<string, string>> = {
  apiVersion: CHANGE,
  kind: CHANGE,
  'device.id': CHANGE,
  'device.labels': CHANGE,
  stateDir: CHANGE,
  runDir: CHANGE,
  'sockets.group': 'e2e-config: the sockets have the group and the mode that the owner wants',
  'sockets.statusMode': 'e2e-config: the sockets have the group and the mode that the owner wants',
  'trust.root': CHANGE,
  'trust.clock':
    'e2e-config: a state whose end the clock has passed waits where the clock is strict',
  'trust.allowDemo': 'e2e-config: a demo root is refused where it is not allowed',
  'trust.unattestedMax': 'time: carried by hand: time ask, time sign, apply --time; once',
  'time.url': TIME_HTTP,
  'time.interval': TIME_HTTP,
  'time.tls.ca': TIME_TLS,
  'time.tls.cert': TIME_TLS,
  'time.tls.key': TIME_TLS,
  'time.proxy': TIME_TLS,
  'time.proxyAuth.usernameFile': TIME_TLS,
  'time.proxyAuth.passwordFile': TIME_TLS,
  'time.insecure': 'time: plain http to an authority on another host needs insecure',
  'channels.name': 'e2e-command-line: --once does one cycle and ends with its code',
  'channels.allow.roots': CHANGE,
  'channels.allow.runtimes': 'e2e-config: a runtime that the channel may not use is refused',
  'channels.allow.users': 'e2e-config: programs run as the user that the owner allows',
  ...under('channels.allow.compose', { grants: COMPOSE, paths: COMPOSE }),
  ...under('registries', REPOSITORY),
  ...under('packages.registries', REPOSITORY),
  ...under('packages.registries.auth', { usernameValue: PRIVATE, passwordValue: PRIVATE }),
  'packages.requireDigests': COMPOSE,
  'mqtt.url': CHANGE,
  'mqtt.topicRoot': 'e2e-config: another topic root is spoken on',
  'mqtt.protocol': BROKER,
  'mqtt.auth.usernameFile': BROKER,
  'mqtt.auth.passwordFile': BROKER,
  'mqtt.tls.ca': BROKER,
  'mqtt.tls.cert': BROKER,
  'mqtt.tls.key': BROKER,
  'mqtt.proxy': PROXIED,
  'mqtt.proxyAuth.usernameFile': PROXIED,
  'mqtt.proxyAuth.passwordFile': PROXIED,
  'mqtt.insecure': 'e2e-config: plain transport to another host needs insecure',
  'schedule.interval': 'e2e-resume: what runs goes on, explain works',
  'schedule.jitter': 'e2e-config: the next look is spread by the jitter',
  'schedule.backoffMax': 'e2e-resume: what runs goes on, explain works',
  'nudges.perMinute': 'e2e-config: a flood of nudges costs as many looks as the limit allows',
  'bundles.consent': 'e2e-watched: nothing is applied until somebody at the device says so',
  'bundles.watch': 'e2e-config: a bundle that is put into a watched directory is applied',
  'runtimes.process.user': 'e2e-config: programs run as the user that the owner allows',
  'runtimes.process.allowRoot': 'e2e-config: a program is not run as root where it is not allowed',
  ...under('runtimes.compose', { engine: COMPOSE, socket: COMPOSE }),
  ...under('runtimes.helm', { kubeconfig: HELM, context: HELM, path: HELM, namespaces: HELM }),
  'keep.generations': 'e2e-config: as many old states are kept as the owner wants',
  'keep.reserve': 'e2e-config: below the reserve nothing new is taken',
  'metrics.listen': 'e2e-config: metrics are served where the owner wants',
  'apply.now':
    'e2e-deferral: a closed window holds a state back that is here; a signed urgent one passes',
  'margo.url': MARGO,
  'margo.dialect': MARGO,
  'margo.authority': MARGO,
  'margo.deviceId': MARGO,
  'margo.identity.cert': MARGO,
  'margo.identity.key': MARGO,
  'margo.identity.trustBundle': MARGO,
  'margo.identity.ca': 'margo-older-agent: rule 71: onboards once it is let in',
  'margo.source': 'margo-oci: is installed, updated and removed, and told',
  'margo.tag': 'margo-oci: is installed, updated and removed, and told',
  ...under('margo.oci', {
    ...REPOSITORY,
    url: 'margo-oci: is installed, updated and removed, and told',
  }),
  'margo.identity.trustBundleUri': 'margo-trust: rules 6, 8: takes the whole set',
  'margo.identity.trustBundleCa': 'margo-trust: rules 6, 8: takes the whole set',
  'margo.identity.discover': 'margo-trust: rules 6, 8: asks its manager where the bundle lies',
  'margo.proxy': MARGO,
  'margo.properties.vendor': MARGO,
  'margo.properties.modelNumber': MARGO,
  'margo.properties.serialNumber': MARGO,
  'margo.properties.memory': MARGO,
  'margo.properties.storage': MARGO,
  'margo.properties.cpus.cores': MARGO,
  'margo.properties.cpus.architecture': MARGO,
  'margo.properties.interfaces.type': MARGO,
  'margo.properties.peripherals.type': MARGO,
  'margo.properties.peripherals.manufacturer': MARGO,
  'margo.properties.peripherals.model': MARGO,
  'margo.labels': MARGO,
  ...under('margo.windows', windowKeys(HOURS)),
  ...under('margo.downtime', windowKeys(QUIET)),
  ...under('margo.poll.hours', windowKeys(QUIET)),
  ...under('margo.poll', { interval: HOURS, jitter: HOURS, backoffMax: QUIET, perMinute: QUIET }),
  'margo.relay': 'margo-gateway: rules 14, 17: a child that is named no more is taken back',
  ...under('margo.children', { id: GATEWAY, folder: GATEWAY, command: GATEWAY }),
  ...under('margo.children', { timeout: GATEWAY, labels: GATEWAY }),
  ...under('margo.children.properties', {
    ...{ vendor: GATEWAY, modelNumber: GATEWAY, serialNumber: GATEWAY, memory: GATEWAY },
    ...{ storage: GATEWAY, 'cpus.cores': GATEWAY, 'cpus.architecture': GATEWAY },
    ...{ 'interfaces.type': GATEWAY, 'peripherals.type': GATEWAY },
    ...{ supportedRuntimes: GATEWAY, supportedDeploymentTypes: GATEWAY },
  }),
  'log.level': 'e2e-config: the log has the level and the format that the owner wants',
  'log.format': 'e2e-config: the log has the level and the format that the owner wants',
};

interface Schema {
  readonly type: string;
  readonly entries?: Readonly<Record<string, Schema>>;
  readonly wrapped?: Schema;
  readonly item?: Schema;
  readonly options?: readonly Schema[];
}

/** The keys below a schema; mappings of free keys (labels) count as one. */
function keysOf(schema: Schema, path: string): readonly string[] {
  const { entries, wrapped, item, options } = schema;
  if (wrapped) return keysOf(wrapped, path);
  if (item && keysOf(item, path).some((key) => key !== path)) return keysOf(item, path);
  if (options?.some((each) => typeof each === 'object' && each.entries)) {
    return options.flatMap((each) => keysOf(each, path));
  }
  if (!entries) return [path];
  return Object.entries(entries).flatMap(([name, inner]) =>
    keysOf(inner, path === '' ? name : `${path}.${name}`),
  );
}

describe('the table of keys', () => {
  test('names every key of the schema and no other', () => {
    const keys = [...new Set(keysOf(agentSchema as unknown as Schema, ''))];
    expect(Object.keys(USED).sort()).toEqual(keys.sort());
  });

  const harness = ['device', 'compose-stick']
    .map((name) => readFileSync(join(import.meta.dir, `../support/${name}.ts`), 'utf8'))
    .join('\n');
  for (const [key, where] of Object.entries(USED)) {
    test(`${key}: its test is there and sets it`, () => {
      const [file = '', title = ''] = where.split(/: (.*)/s);
      const text = readFileSync(join(import.meta.dir, `${file}.test.ts`), 'utf8');
      const plain = title.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
      expect(text).toMatch(new RegExp(`itle\\(\\s*['"\`][^'"]*${plain}`));
      expect(`${text}${harness}`).toMatch(new RegExp(`\\b${key.split('.').at(-1)}\\b`));
    });
  }
});
