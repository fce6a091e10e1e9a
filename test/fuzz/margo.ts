/** Targets: what a Margo manager sends to a device, and devices to the hub. */
import { ok } from '#errors/fault.ts';
import { sha256 } from '#state/digest.ts';
import { MARGO_MEDIA } from '#state/margo.ts';
import { MEDIA } from '#state/media-types.ts';
import { helmValues, helmValuesText } from '#wire/helm-values.ts';
import { readMargoBundle, writeMargoBundle } from '#wire/margo-bundle.ts';
import { readMargoCapabilities, writeMargoCapabilities } from '#wire/margo-capabilities.ts';
import { readMargoChildStatus } from '#wire/margo-child-status.ts';
import { readMargoFacts } from '#wire/margo-document.ts';
import type { MargoBody } from '#wire/margo-json.ts';
import { readMargoManifest, VERSION_MAX, writeMargoManifest } from '#wire/margo-manifest.ts';
import { readMargoOci, readMargoOciLayer, writeMargoOci } from '#wire/margo-oci.ts';
import { readProblem, writeProblem } from '#wire/margo-problem.ts';
import { readStatement } from '#wire/margo-statement.ts';
import { readMargoStatus, writeMargoStatus } from '#wire/margo-status.ts';
import { readTrustBundle } from '#wire/trust-bundle.ts';
import { readDiscovery } from '#wire/trust-kept.ts';
import { bytesOf } from '../support/wire-samples.ts';
import type { Target } from './engine.ts';
import { answerOf, promise } from './promises.ts';

const ID = '6f1c0a52-3b7e-4d0a-9a41-0d5f6c1e2b01';
const documents = [ID, 'b'].map((id) => ({ id, bytes: bytesOf(`id: ${id}\n`) }));
const digests = documents.map(({ bytes }) => sha256(bytes));
const [digest = sha256(bytesOf(''))] = digests;
const manifest = writeMargoManifest({
  ...{ version: 2n, bundle: { digest, size: 3 }, prefix: '/api/v1/' },
  deployments: [{ id: ID, digest, size: 1 }],
  blobs: [{ name: 'a', mediaType: MEDIA.file, digest, size: 1, unpackedSize: 1 }],
});
const status = writeMargoStatus(
  {
    ...{ deploymentId: ID, deviceId: null, adoptedVersion: 2n, state: 'failed' },
    error: { code: 'c', source: 's', message: 'm' },
    components: [{ name: 'a', state: 'failed', error: null }],
  },
  'rc3',
);
const properties = { id: 'd', vendor: 'v', modelNumber: 'm', serialNumber: 's' };
const RULES = `metadata: { name: n, deviceId: d }
spec:
  deploymentProfile:
    type: custom
    deviceConstraints: { eligibilityRules: [{ labelSelector: { matchExpressions: [{ key: a, operator: In, values: [1] }] } }] }
    x-holdfast-extensions: { blobs: { a: { digest: "${digest}", size: 1 } } }
`;
const WORDS = [
  '"manifestVersion":1e3',
  '18446744073709551616',
  '"bundle":null',
  '"deployments":[]',
  '/../',
];
const YAML_MAX = 4_096;

function readManifest(input: Uint8Array): string {
  const read = readMargoManifest(input);
  if (!read.ok) return answerOf(read);
  const { version, deployments } = read.value;
  promise(version >= 1n && version <= VERSION_MAX, `a version of 64 bits: ${version}`);
  const ids = deployments.map(({ id }) => id.toLowerCase());
  promise(new Set(ids).size === ids.length, 'each id once');
  promise(
    ids.every((id) => !/[/\\]|^\.+$/.test(id)),
    'ids that are one segment of a path',
  );
  return 'ok';
}

function bodyAnswer(body: MargoBody<unknown>): string {
  if (body.kind === 'wrong') promise(body.errors.length > 0, 'what is wrong is named');
  return body.kind === 'read' ? 'ok' : body.kind;
}

function readBundle(input: Uint8Array): string {
  const read = readMargoBundle([ok(input)], new Set(digests));
  if (read.ok) promise(read.value.size === digests.length, 'all that was wanted, nothing else');
  return answerOf(read);
}

export const MARGO: readonly Target[] = [
  {
    ...{ name: 'status of a gateway’s child', shape: 'text' },
    seeds: [bytesOf(`{"digest":"${digest}","state":"failed","error":{"code":"c"}}`)],
    run(input) {
      const read = readMargoChildStatus(input, digest);
      const bounded = read === null || (read.code.length <= 1_000 && read.message.length <= 1_000);
      promise(bounded, 'texts of at most a thousand characters');
      return read ? 'ok' : 'none';
    },
  },
  {
    ...{ name: 'path into values of a chart', shape: 'text', words: ['__proto__', '[0]', '\\.'] },
    seeds: [bytesOf('ingress.hosts[0].name'), bytesOf('a\\.b[3]')],
    run(input) {
      const pointer = Buffer.from(input).toString();
      const targets = [{ pointer, components: ['c'] }];
      const value = { kind: 'literal', text: 'v' } as const;
      const read = helmValues([{ name: 'p', value, targets }], 'c', () => '');
      if (read.kind === 'values') {
        const text = helmValuesText(read.values);
        promise(text.length <= 8_192 + input.length * 2, 'no more than was asked for');
        JSON.parse(text);
      }
      promise(
        !('v' in {}) && Object.keys(Object.prototype).length === 0,
        'no prototype is touched',
      );
      return read.kind === 'values' ? 'ok' : 'wrong';
    },
  },
  { name: 'Margo manifest', shape: 'text', seeds: [manifest], words: WORDS, run: readManifest },
  {
    ...{ name: 'Margo bundle', shape: 'bytes', seeds: [writeMargoBundle(documents)] },
    run: readBundle,
  },
  {
    ...{ name: 'Margo status', shape: 'text', seeds: [status], words: WORDS },
    run: (input) => bodyAnswer(readMargoStatus(input, ID, 'rc3')),
  },
  {
    ...{ name: 'Margo capabilities', shape: 'text' },
    seeds: [writeMargoCapabilities({ properties })],
    run: (input) => bodyAnswer(readMargoCapabilities(input, 'd')),
  },
  {
    ...{ name: 'Margo document', shape: 'text', seeds: [bytesOf(RULES)], sizeMax: YAML_MAX },
    run: (input) => answerOf(readMargoFacts(input, 'x.yaml')),
  },
  {
    ...{
      name: 'Margo problem',
      shape: 'text',
      seeds: [bytesOf(writeProblem('invalid-bundle', 'x'))],
    },
    run: (input) => (readProblem(input).kind === null ? 'none' : 'ok'),
  },
  {
    ...{ name: 'SPIFFE trust bundle', shape: 'text' },
    seeds: [bytesOf('{"keys":[{"use":"x509-svid","x5c":["AAAA"]}]}')],
    run: (input) => answerOf(readTrustBundle(input, 'bundle')),
  },
  {
    ...{ name: 'Margo statement', shape: 'text', words: [...WORDS, '"notAfter":', '"fleet":'] },
    seeds: [manifest],
    run: (input) => answerOf(readStatement({ payloadType: MARGO_MEDIA.manifest, payload: input })),
  },
  {
    ...{ name: 'Margo OCI form', shape: 'text', words: ['"data":', '"annotations":'] },
    seeds: [writeMargoOci(2n, bytesOf('packed'))],
    run(input) {
      const read = readMargoOci(input);
      if (read.ok) promise(read.value.version <= VERSION_MAX, 'a version of 64 bits');
      return answerOf(read);
    },
  },
  {
    ...{ name: 'Margo documents of a layer', shape: 'bytes' },
    seeds: [writeMargoBundle(documents)],
    run: (input) => answerOf(readMargoOciLayer([ok(input)])),
  },
  {
    ...{ name: 'Margo discovery', shape: 'text', words: ['https://', 'http://', '"trustDomain":'] },
    seeds: [bytesOf('{"trustDomain":"d.example","trustBundleUri":"https://d.example/b"}')],
    run(input) {
      const read = readDiscovery(input, 'discovery');
      if (read.ok) promise(read.value.trustBundleUri.startsWith('https://'), 'https alone');
      return answerOf(read);
    },
  },
];
