/** Bodies of the older dialects of Margo: onboarding and capabilities, the examples by their index. */
import { describe, expect, test } from 'bun:test';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MARGO_MEDIA, type MargoCapabilities } from '#state/margo.ts';
import { readDeployment } from '#wire/deployment.ts';
import { readOlderCapabilities, writeOlderCapabilities } from '#wire/margo-capabilities-older.ts';
import { readMargoFacts } from '#wire/margo-document.ts';
import {
  isClientId,
  readClientId,
  readOnboarding,
  readRootCa,
  writeClientId,
  writeOnboarding,
  writeRootCa,
} from '#wire/margo-onboarding.ts';

const SHARED = process.env.HOLDFAST_VECTORS ?? join(import.meta.dir, '../../../../shared');
const EXAMPLES = join(SHARED, 'margo/examples');
const present = existsSync(join(EXAMPLES, 'index.json'));

interface Example {
  readonly file: string;
  readonly schema: string | null;
  readonly expect: string;
  readonly why: string;
}

const bytes = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));
const parsed = (body: Uint8Array): Record<string, unknown> =>
  JSON.parse(Buffer.from(body).toString());
const DER = Buffer.concat([Buffer.from([0x30, 0x82, 0, 4]), Buffer.from('cert')]);
const PEM = `-----BEGIN CERTIFICATE-----\n${DER.toString('base64')}\n-----END CERTIFICATE-----\n`;
const request = (certificate: unknown) =>
  bytes({ apiVersion: 'onboarding.margo.org/v1alpha1', kind: 'OnboardingRequest', certificate });

describe('onboarding', () => {
  test('a certificate is taken as base64 of PEM and of DER, and sent as PEM', () => {
    for (const certificate of [Buffer.from(PEM), DER].map((one) => one.toString('base64'))) {
      const read = readOnboarding(request(certificate));
      expect(read.kind === 'read' && Buffer.from(read.value).equals(DER)).toBe(true);
    }
    const { certificate } = parsed(writeOnboarding(PEM));
    expect(Buffer.from(`${certificate}`, 'base64').toString()).toBe(PEM);
    const wrapped = Buffer.from(PEM)
      .toString('base64')
      .replace(/(.{20})/g, '$1\n');
    expect(readOnboarding(request(wrapped)).kind).toBe('read');
  });

  test('refused with the member: another kind, no certificate, none in base64', () => {
    for (const certificate of [undefined, '', '%%%', 'AAAA', 7, 'A'.repeat(40_000)]) {
      expect(readOnboarding(request(certificate))).toMatchObject({
        kind: 'wrong',
        errors: [{ field: 'certificate' }],
      });
    }
    expect(readOnboarding(bytes({ ...parsed(request('x')), kind: 'Onboard' })).kind).toBe('wrong');
    expect(readOnboarding(Buffer.from('{')).kind).toBe('unreadable');
  });

  test('an id is one segment of a path', () => {
    expect(readClientId(writeClientId('c-7d1f'))).toBe('c-7d1f');
    for (const id of ['', '.', '..', 'a/b', 'a b', 'a?b', 'a%2f', 'x'.repeat(256)]) {
      expect([id, isClientId(id)]).toEqual([id, false]);
      expect(readClientId(bytes({ clientId: id }))).toBeNull();
    }
    expect(readClientId(Buffer.from('[]'))).toBeNull();
  });

  test('the root CA of a manager is read back', () => {
    expect(Buffer.from(readRootCa(writeRootCa(PEM)) ?? []).equals(DER)).toBe(true);
    expect(readRootCa(bytes({ certificate: 'x' }))).toBeNull();
  });
});

describe('capabilities', () => {
  const of: MargoCapabilities = {
    properties: {
      ...{ id: 'press-42', vendor: 'v', modelNumber: 'm', serialNumber: 's' },
      cpus: [{ cores: 4, architecture: 'arm64' }, { cores: 2 }],
      ...{ memory: '4Gi', storage: '32Gi', peripherals: [], interfaces: [{ type: 'ethernet' }] },
      otelCollector: true,
      supportedRuntimes: ['custom'],
      supportedDeploymentTypes: ['custom'],
    },
    labels: { line: '7' },
  };

  test('rc2 carries both shapes at once, pr1 the older one alone, neither has labels', () => {
    const rc2 = parsed(writeOlderCapabilities(of, 'rc2'));
    expect(rc2).toMatchObject({
      apiVersion: 'device.margo.org/v1alpha1',
      kind: 'DeviceCapabilitiesManifest',
      properties: {
        ...of.properties,
        roles: ['Standalone Device'],
        resources: { cpu: of.properties.cpus, memory: '4Gi', storage: '32Gi' },
      },
    });
    const pr1 = parsed(writeOlderCapabilities(of, 'pr1'));
    expect(Object.keys(pr1.properties as object)).toEqual([
      ...['id', 'vendor', 'modelNumber', 'serialNumber', 'roles', 'resources'],
    ]);
    expect(pr1).toMatchObject({ properties: { resources: { cpu: { cores: 4 } } } });
    expect([rc2, pr1].some((one) => 'labels' in one)).toBe(false);
  });

  test('each is read back by its own dialect; a relay of rc2 has the role Gateway', () => {
    for (const dialect of ['rc2', 'pr1'] as const) {
      const body = writeOlderCapabilities(of, dialect);
      expect(readOlderCapabilities(body, 'press-42', dialect)).toMatchObject({ kind: 'read' });
      expect(readOlderCapabilities(body, 'other', dialect)).toMatchObject({
        errors: [{ field: 'properties.id' }],
      });
    }
    const { id, vendor, modelNumber, serialNumber } = of.properties;
    const relay = { properties: { id, vendor, modelNumber, serialNumber } };
    expect(parsed(writeOlderCapabilities(relay, 'rc2'))).toMatchObject({
      properties: { roles: ['Gateway'] },
    });
  });

  test('a manager takes what samples of that time say, and refuses what nobody said', () => {
    const body = parsed(writeOlderCapabilities(of, 'pr1'));
    const { properties } = body as { properties: { resources: object } };
    const changed = (more: object, resources: object = {}) =>
      bytes({
        ...body,
        properties: {
          ...properties,
          resources: { ...properties.resources, ...resources },
          ...more,
        },
      });
    const kind = (one: Uint8Array) => readOlderCapabilities(one, null, 'pr1').kind;
    expect(kind(changed({ roles: ['standalone device'] }))).toBe('read');
    expect(kind(changed({}, { cpu: { cores: 4, architecture: 'x86_64' } }))).toBe('read');
    expect(kind(changed({}, { peripherals: [{ type: 'GPU' }], memory: '59 Gi' }))).toBe('read');
    expect(kind(changed({ roles: ['Gateway'] }))).toBe('wrong');
    expect(kind(changed({}, { memory: undefined }))).toBe('wrong');
    expect(kind(changed({}, { cpu: { cores: 4, architecture: 'mips' } }))).toBe('wrong');
    const extra = bytes({ ...parsed(writeOlderCapabilities(of, 'rc2')), labels: {} });
    expect(readOlderCapabilities(extra, null, 'rc2').kind).toBe('wrong');
  });
});

describe.skipIf(!present)(`Margo's examples${present ? '' : ' (skipped: none here)'}`, () => {
  const all: readonly Example[] = present
    ? JSON.parse(readFileSync(join(EXAMPLES, 'index.json'), 'utf8'))
    : [];
  const read = {
    DeviceCapabilitiesRc2: (body: Uint8Array) => readOlderCapabilities(body, 'press-42', 'rc2'),
    DeviceCapabilitiesPr1: (body: Uint8Array) => readOlderCapabilities(body, null, 'pr1'),
    OnboardingRequest: readOnboarding,
  };
  for (const [schema, reader] of Object.entries(read)) {
    for (const { file, expect: wanted, why } of all.filter((one) => one.schema === schema)) {
      test(`${file}: ${wanted}: ${why}`, () => {
        const body = new Uint8Array(readFileSync(join(EXAMPLES, file)));
        expect(reader(body).kind).toBe(wanted.startsWith('refuse') ? 'wrong' : 'read');
      });
    }
  }

  const facts = (file: string) => {
    const read = readMargoFacts(readFileSync(join(EXAMPLES, 'deployment', file)), file);
    return read.ok ? read.value : null;
  };
  const ids = '6f1c0a52-3b7e-4d0a-9a41-0d5f6c1e2b0';
  for (const [file, id, of] of [
    ['legacy-pr1-compose.yaml', `${ids}1`, { type: 'compose', unpinned: 'monitor' }],
    ['legacy-pr1-helm.yaml', `${ids}2`, { type: 'helm', unpinned: null }],
    ['legacy-rc2-compose.yaml', `${ids}1`, { type: 'compose', unpinned: null }],
  ] as const) {
    test(`deployment/${file}: read as ${of.type}, ${of.unpinned ? 'named by a URL alone' : 'by OCI'}`, () => {
      const bytes_ = readFileSync(join(EXAMPLES, 'deployment', file));
      const read = readDeployment(bytes_, MARGO_MEDIA.document, { id, file });
      expect(read.ok && read.value.id).toBe(id);
      expect(facts(file)).toMatchObject(of);
    });
  }

  test('onboarding/response.json is an id', () => {
    expect(readClientId(readFileSync(join(EXAMPLES, 'onboarding/response.json')))).toBe('c-7d1f');
  });
});
