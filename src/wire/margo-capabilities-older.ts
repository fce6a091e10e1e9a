/**
 * What a device offers, in the shapes of the older dialects (MARGO.md sections 6 and 13). Both have an
 * envelope; rc2 carries the flat members and `roles` with `resources` at once, so that either reader
 * finds its own; pr1 has `roles` and `resources` alone, with one CPU. A manager also takes what
 * samples of that time say: `x86_64`, roles in small letters, `GPU`.
 */
import * as v from 'valibot';
import type { MargoCapabilities, MargoDialect, MargoProperties } from '#state/margo.ts';
import { type MargoBody, readMargoBody, wrong } from './margo-json.ts';

export type OlderDialect = Exclude<MargoDialect, 'rc3'>;

const API_VERSION = 'device.margo.org/v1alpha1';
const KIND = 'DeviceCapabilitiesManifest';
const DEVICE_ID = /^[A-Za-z0-9._~-]+(?:\/[A-Za-z0-9._~-]+)*$/;
const EXTENSION = /^x-[a-z][a-z0-9-]*-extensions$/;
const LIST_MAX = 256;
const ROLES = ['standalone cluster', 'cluster leader', 'standalone device', 'gateway'];
const ARCHITECTURES = ['amd64', 'x86_64', 'arm64', 'aarch64', 'arm'];
const PERIPHERALS = ['gpu', 'display', 'camera', 'microphone', 'speaker'];
const INTERFACES = ['ethernet', 'wifi', 'cellular', 'bluetooth', 'usb', 'canbus', 'rs232'];

const text = v.pipe(v.string('expected text'), v.nonEmpty('missing'), v.maxLength(255, 'too long'));
const quantity = v.pipe(
  v.string('expected a quantity'),
  v.regex(/^[0-9]{1,18}(?:\.[0-9]{1,9})? ?(?:[KMGTPE]i?)?B?$/, 'expected a quantity such as 8Gi'),
);
const oneOf = (names: readonly string[], what: string) =>
  v.pipe(
    v.string('expected text'),
    v.check((value) => names.includes(value.toLowerCase()), `unknown ${what}`),
  );
const some = <T extends v.GenericSchema>(item: T) =>
  v.pipe(v.array(item, 'expected a list'), v.maxLength(LIST_MAX, 'too many'));
const cpu = v.looseObject({
  cores: v.pipe(v.number('missing'), v.gtValue(0, 'above 0')),
  architecture: v.optional(oneOf(ARCHITECTURES, 'architecture')),
});
const peripherals = some(
  v.looseObject({
    type: oneOf(PERIPHERALS, 'type'),
    manufacturer: v.optional(text),
    model: v.optional(text),
  }),
);
const interfaces = some(v.looseObject({ type: oneOf(INTERFACES, 'type') }));
const named = { id: v.pipe(text, v.regex(DEVICE_ID, 'no device id')), vendor: text };
const identity = { ...named, modelNumber: text, serialNumber: text };

const rc2 = v.looseObject({
  ...identity,
  cpus: v.optional(some(cpu)),
  memory: v.optional(quantity),
  storage: v.optional(quantity),
  peripherals: v.optional(peripherals),
  interfaces: v.optional(interfaces),
  otelCollector: v.optional(v.boolean('expected true or false')),
  supportedRuntimes: v.optional(some(oneOf(['oci', 'custom'], 'value'))),
  supportedDeploymentTypes: v.optional(some(oneOf(['helm', 'compose', 'custom'], 'value'))),
  roles: v.optional(some(oneOf(ROLES, 'role'))),
  resources: v.optional(
    v.looseObject({
      cpu: v.optional(v.union([cpu, some(cpu)], 'expected cores and architecture')),
      memory: v.optional(quantity),
      storage: v.optional(quantity),
      peripherals: v.optional(peripherals),
      interfaces: v.optional(interfaces),
    }),
  ),
});
const pr1 = v.looseObject({
  ...identity,
  roles: some(oneOf(ROLES.slice(0, 3), 'role')),
  resources: v.looseObject({ cpu, memory: quantity, storage: quantity, peripherals, interfaces }),
});
const envelope = { apiVersion: v.literal(API_VERSION), kind: v.literal(KIND) };
/** rc2 closes its envelope but for extensions; pr1 never did */
const closed = v.pipe(
  v.record(v.string(), v.unknown(), 'expected an object'),
  v.transform((mapping) =>
    Object.fromEntries(Object.entries(mapping).filter(([key]) => !EXTENSION.test(key))),
  ),
  v.strictObject({ ...envelope, properties: rc2 }),
);
const open = v.looseObject({ ...envelope, properties: pr1 });

/** @param id  of the path; null: the path of pr1 names none */
export function readOlderCapabilities(
  bytes: Uint8Array,
  id: string | null,
  dialect: OlderDialect,
): MargoBody<{ readonly id: string }> {
  const body =
    dialect === 'rc2'
      ? readMargoBody(bytes, 'the capabilities', closed)
      : readMargoBody(bytes, 'the capabilities', open);
  if (body.kind !== 'read') return body;
  const own = body.value.properties.id;
  if (id !== null && own !== id) return wrong('properties.id', 'the path has another one');
  return { kind: 'read', value: { id: own } };
}

/** Labels have no place in the older dialects. */
export function writeOlderCapabilities(
  { properties: of }: MargoCapabilities,
  dialect: OlderDialect,
): Uint8Array {
  const { id, vendor, modelNumber, serialNumber } = of;
  const shaped = { roles: [roleOf(of)], ...(of.cpus && { resources: resourcesOf(of, dialect) }) };
  const properties =
    dialect === 'rc2' ? { ...of, ...shaped } : { id, vendor, modelNumber, serialNumber, ...shaped };
  return new TextEncoder().encode(
    JSON.stringify({ apiVersion: API_VERSION, kind: KIND, properties }),
  );
}

function resourcesOf(of: MargoProperties, dialect: OlderDialect) {
  const { cpus = [], memory = '', storage = '', peripherals: added = [], interfaces: to = [] } = of;
  // pr1 knows one CPU: entries are places for a workload and are never added up.
  return {
    cpu: dialect === 'rc2' ? cpus : cpus[0],
    memory,
    storage,
    peripherals: added,
    interfaces: to,
  };
}

function roleOf({ cpus, supportedDeploymentTypes = [] }: MargoProperties): string {
  if (!cpus) return 'Gateway';
  return supportedDeploymentTypes.includes('helm') ? 'Standalone Cluster' : 'Standalone Device';
}
