/**
 * agent.yaml, `margo.children`: devices that this one speaks for at its manager, as a transparent gateway
 * (MARGO.md section 12). Each has a folder into which its deployments are laid, and what it can do in
 * words of its owner: nobody else knows. Their ids begin with the gateway's.
 */
import * as v from 'valibot';
import type { MargoCapabilities, MargoProperties } from '#state/margo.ts';
import { duration } from '#wire/yaml.ts';

export interface MargoChild {
  /** behind the gateway's id and a slash */
  readonly id: string;
  /** absolute; has to be there: one that is not mounted is a child out of reach */
  readonly folder: string;
  /** run after each change; null: the child looks by itself */
  readonly command: readonly string[] | null;
  readonly timeoutMs: number;
  readonly properties: Omit<MargoProperties, 'id'>;
  readonly labels: Readonly<Record<string, string | number | boolean>>;
}

const CHILDREN_MAX = 64;
const text = v.pipe(v.string(), v.nonEmpty('text'), v.maxLength(255, 'at most 255 characters'));
const kind = v.strictObject({ type: text });
const absolute = v.pipe(v.string(), v.regex(/^\/[^\0]*$/, 'an absolute path'));
const command = v.pipe(
  v.array(text),
  v.minLength(1, 'a program'),
  v.check(([program = '']) => program.startsWith('/'), 'a program by its absolute path'),
);
const child = v.strictObject({
  id: v.pipe(v.string(), v.regex(/^[A-Za-z0-9._~-]{1,128}$/, 'letters, digits, . _ ~ -')),
  folder: absolute,
  command: v.optional(command),
  timeout: v.optional(duration(), '5m'),
  properties: v.strictObject({
    ...{ vendor: text, modelNumber: text, serialNumber: text },
    memory: v.optional(text),
    storage: v.optional(text),
    cpus: v.optional(
      v.array(v.strictObject({ cores: v.number(), architecture: v.optional(text) })),
    ),
    interfaces: v.optional(v.array(kind)),
    peripherals: v.optional(v.array(kind)),
    supportedRuntimes: v.optional(v.array(v.picklist(['oci', 'custom'], 'oci or custom'))),
    supportedDeploymentTypes: v.optional(
      v.array(v.picklist(['helm', 'compose', 'custom'], 'helm, compose or custom')),
    ),
  }),
  labels: v.optional(v.record(v.string(), v.union([v.string(), v.number(), v.boolean()])), {}),
});
/** what a device that hosts anything has to name, beside lists that may be empty */
const HOSTING = ['memory', 'storage', 'cpus', 'supportedDeploymentTypes'] as const;
const whole = v.check(
  ({ properties }: v.InferOutput<typeof child>) =>
    new Set(HOSTING.map((name) => properties[name] !== undefined)).size === 1,
  `of a child, all of ${HOSTING.join(', ')} or none`,
);

/** Keys of the section `margo`. */
export const childrenEntries = {
  relay: v.optional(v.boolean('true or false'), false),
  children: v.optional(
    v.pipe(
      v.array(v.pipe(child, whole)),
      v.maxLength(CHILDREN_MAX, `at most ${CHILDREN_MAX} children`),
      v.check((all) => new Set(all.map(({ id }) => id)).size === all.length, 'each id once'),
      v.check(
        (all) => new Set(all.map(({ folder }) => folder)).size === all.length,
        'each folder once',
      ),
    ),
    [],
  ),
};

export function childrenOf(
  read: v.InferOutput<v.StrictObjectSchema<typeof childrenEntries, undefined>>,
): readonly MargoChild[] {
  return read.children.map(({ command: argv, timeout, properties, ...rest }) => ({
    ...rest,
    ...{ command: argv ?? null, timeoutMs: timeout },
    properties: properties.cpus === undefined ? properties : hosting(properties),
  }));
}

function hosting(said: Omit<MargoProperties, 'id'>): Omit<MargoProperties, 'id'> {
  const types = said.supportedDeploymentTypes ?? [];
  const runtimes = types.some((type) => type !== 'custom') ? ['oci'] : ['custom'];
  const lists = { peripherals: [], interfaces: [], supportedRuntimes: runtimes };
  return { ...lists, otelCollector: true, ...said };
}

/** By full id. */
export function childCapabilities(
  children: readonly MargoChild[],
  gateway: string,
): ReadonlyMap<string, MargoCapabilities> {
  return new Map(
    children.map(({ id, properties, labels }) => [
      `${gateway}/${id}`,
      { properties: { id: `${gateway}/${id}`, ...properties }, labels },
    ]),
  );
}

/** M17: a relay hosts nothing, and names nothing that it could host with. */
export function relayOnly({ properties }: MargoCapabilities, labels: MargoChild['labels']) {
  const { id, vendor, modelNumber, serialNumber } = properties;
  return { properties: { id, vendor, modelNumber, serialNumber }, labels };
}
