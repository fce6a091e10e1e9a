/** Targets: what clients of Margo's older dialects send to the hub, signatures before anything else. */
import {
  componentsOf,
  contentDigest,
  fitsContentDigest,
  readSignatures,
  signatureBase,
  signatureFields,
  signatureParams,
} from '#wire/http-signature.ts';
import { readOlderCapabilities } from '#wire/margo-capabilities-older.ts';
import { isClientId, readClientId, readOnboarding } from '#wire/margo-onboarding.ts';
import { readDictionary, writeParameters } from '#wire/structured-fields.ts';
import { bytesOf } from '../support/wire-samples.ts';
import type { Target } from './engine.ts';
import { promise } from './promises.ts';

const COVERED = ['@method', '@target-uri', '@authority'];
const PARAMS = signatureParams(COVERED, { created: 1, keyid: 'a', algorithm: 'b' });
const FIELDS = signatureFields(PARAMS, Uint8Array.of(1, 2));
const textOf = (input: Uint8Array): string => Buffer.from(input).toString('latin1');

/** What was read is one text alone, however it was written: two readers sign the same bytes. */
function readInput(input: Uint8Array): string {
  const written = textOf(input);
  const read = readSignatures({ 'signature-input': written, signature: FIELDS.signature });
  if (read === null) return 'none';
  for (const { covered, params } of read) {
    const again = readSignatures({ ...FIELDS, 'signature-input': `sig1=${params}` });
    promise(again?.[0]?.params === params, 'parameters that are written as they are read');
    const value = componentsOf({ method: 'GET', url: 'https://a.example/p', headers: {} });
    const base = signatureBase(covered, params, value);
    const lines = base && textOf(base).split('\n').length;
    promise(lines === null || lines === covered.length + 1, 'a line for each component');
  }
  return 'ok';
}

function readFields(input: Uint8Array): string {
  const members = readDictionary(textOf(input));
  if (members === null) return 'none';
  const text = [...members]
    .map(([key, { parameters }]) => `${key}${writeParameters(parameters)}`)
    .join(', ');
  const again = readDictionary(text);
  promise(again?.size === members.size, 'keys and parameters that are written as they are read');
  return 'ok';
}

export const MARGO_OLDER: readonly Target[] = [
  {
    ...{ name: 'HTTP signature input', shape: 'text', seeds: [bytesOf(FIELDS['signature-input'])] },
    ...{ words: ['";sf', '=("', ';created=', ':AAAA:', '?1', '\\"'], run: readInput },
  },
  {
    ...{ name: 'structured fields', shape: 'text', words: ['=(', ';a=', ', ', '?0', ':AA==:'] },
    seeds: [bytesOf(FIELDS['signature-input']), bytesOf('a=1;b="x", c, d=(e f);g=?0')],
    run: readFields,
  },
  {
    ...{ name: 'content digest', shape: 'text', words: ['sha-256=:', 'sha-512=:'] },
    seeds: [bytesOf(contentDigest(bytesOf('{}')))],
    run: (input) => (fitsContentDigest(textOf(input), bytesOf('{}')) ? 'ok' : 'none'),
  },
  {
    ...{ name: 'Margo onboarding', shape: 'text', words: ['"certificate":', 'MIIB', '"kind":'] },
    seeds: [
      bytesOf(
        '{"apiVersion":"onboarding.margo.org/v1alpha1","kind":"OnboardingRequest","certificate":"MIIBAA=="}',
      ),
    ],
    run(input) {
      const read = readOnboarding(input);
      if (read.kind === 'read') promise(read.value[0] === 0x30, 'DER, of one certificate');
      return read.kind === 'read' ? 'ok' : read.kind;
    },
  },
  {
    ...{ name: 'Margo client id', shape: 'text', words: ['"clientId":', '..', '/'] },
    seeds: [bytesOf('{"clientId":"c-7d1f"}')],
    run(input) {
      const id = readClientId(input);
      if (id !== null) promise(isClientId(id) && !/[/\\?#%]/.test(id), 'one segment of a path');
      return id === null ? 'none' : 'ok';
    },
  },
  {
    ...{
      name: 'Margo capabilities of rc2',
      shape: 'text',
      words: ['"roles":', '"cpu":', 'x86_64'],
    },
    seeds: [
      bytesOf(
        '{"apiVersion":"device.margo.org/v1alpha1","kind":"DeviceCapabilitiesManifest","properties":{"id":"d","vendor":"v","modelNumber":"m","serialNumber":"s","roles":["Standalone Device"],"resources":{"cpu":[{"cores":1}]}}}',
      ),
    ],
    run(input) {
      const { kind } = readOlderCapabilities(input, 'd', 'rc2');
      return kind === 'read' ? 'ok' : kind;
    },
  },
];
