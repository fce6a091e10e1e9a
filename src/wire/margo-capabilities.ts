/**
 * What a device offers to Margo, state ↔ bytes (MARGO.md section 6; M15–M18). The object is closed but
 * for extensions; a device that hosts workloads names all its resources, one that only relays none.
 */
import * as v from 'valibot';
import type { MargoCapabilities } from '#state/margo.ts';
import { type MargoBody, readMargoBody, wrong } from './margo-json.ts';

const DEVICE_ID = /^[A-Za-z0-9._~-]+(?:\/[A-Za-z0-9._~-]+)*$/;
const EXTENSION = /^x-[a-z][a-z0-9-]*-extensions$/;
const LIST_MAX = 256;
const text = v.pipe(v.string('expected text'), v.nonEmpty('missing'), v.maxLength(255, 'too long'));
const quantity = v.pipe(
  v.string('expected a quantity'),
  v.regex(/^[0-9]{1,18}(?:\.[0-9]{1,9})? ?(?:[KMGTPE]i?)?B?$/, 'expected a quantity such as 8Gi'),
);
const some = <T extends v.GenericSchema>(item: T) =>
  v.pipe(v.array(item, 'expected a list'), v.maxLength(LIST_MAX, 'too many'));
const properties = v.looseObject({
  id: v.pipe(text, v.regex(DEVICE_ID, 'no device id')),
  vendor: text,
  modelNumber: text,
  serialNumber: text,
  cpus: v.optional(
    some(
      v.looseObject({
        cores: v.pipe(v.number('missing'), v.gtValue(0, 'above 0')),
        architecture: v.optional(v.picklist(['amd64', 'arm64', 'arm'], 'unknown architecture')),
      }),
    ),
  ),
  memory: v.optional(quantity),
  storage: v.optional(quantity),
  peripherals: v.optional(
    some(
      v.looseObject({
        type: v.picklist(['gpu', 'display', 'camera', 'microphone', 'speaker'], 'unknown type'),
        manufacturer: v.optional(text),
        model: v.optional(text),
      }),
    ),
  ),
  interfaces: v.optional(
    some(
      v.looseObject({
        type: v.picklist(
          ['ethernet', 'wifi', 'cellular', 'bluetooth', 'usb', 'canbus', 'rs232'],
          'unknown type',
        ),
      }),
    ),
  ),
  otelCollector: v.optional(v.boolean('expected true or false')),
  supportedRuntimes: v.optional(
    v.pipe(some(v.picklist(['oci', 'custom'], 'unknown value')), v.minLength(1, 'empty')),
  ),
  supportedDeploymentTypes: v.optional(
    v.pipe(
      some(v.picklist(['helm', 'compose', 'custom'], 'unknown value')),
      v.minLength(1, 'empty'),
    ),
  ),
});
const label = v.union(
  [
    v.string(),
    v.number(),
    v.boolean(),
    v.pipe(some(v.string()), v.minLength(1)),
    v.pipe(some(v.number()), v.minLength(1)),
  ],
  'expected text, a number, true, false, or a list of texts or of numbers',
);
const schema = v.pipe(
  v.record(v.string(), v.unknown(), 'expected an object'),
  v.transform((mapping) =>
    Object.fromEntries(
      Object.entries(mapping).filter(
        ([key, value]) => !EXTENSION.test(key) || typeof value !== 'object' || value === null,
      ),
    ),
  ),
  v.strictObject({ properties, labels: v.optional(v.record(v.string(), label)) }),
);
/** of a device that hosts anything */
const HOSTED = [
  'cpus',
  'memory',
  'storage',
  'peripherals',
  'interfaces',
  'otelCollector',
  'supportedRuntimes',
  'supportedDeploymentTypes',
] as const;

/** @param id  of the path */
export function readMargoCapabilities(bytes: Uint8Array, id: string): MargoBody<MargoCapabilities> {
  const body = readMargoBody(bytes, 'the capabilities', schema);
  if (body.kind !== 'read') return body;
  const { properties: of } = body.value;
  if (of.id !== id) return wrong('properties.id', 'the path has another one');
  const missing = HOSTED.filter((name) => of[name] === undefined);
  if (missing.length > 0 && missing.length < HOSTED.length) {
    return {
      kind: 'wrong',
      errors: missing.map((name) => ({ field: `properties.${name}`, message: 'missing' })),
    };
  }
  return { kind: 'read', value: body.value };
}

export function writeMargoCapabilities({ properties: of, labels }: MargoCapabilities): Uint8Array {
  const named = labels && Object.keys(labels).length > 0 ? { labels } : {};
  return new TextEncoder().encode(JSON.stringify({ properties: of, ...named }));
}

export function isMargoDeviceId(text_: string): boolean {
  return text_.length <= 255 && DEVICE_ID.test(text_);
}
