/** What an executable is made of, from the files that the bundler took in. */
import { describe, expect, test } from 'bun:test';
import { cycloneDx, materialsOf, noticesText } from '../../../scripts/materials.ts';

const VERSION = {
  version: '1.2.3',
  commit: 'abc1234+changes',
  target: 'linux-x64',
  bun: '1.4.5',
  lmdb: '3.5.6/0.9.90',
  buildTime: Date.UTC(2026, 10, 24),
};
const INPUTS = [
  'src/main.ts',
  'no-debug:debug',
  'node_modules/yaml/dist/index.js',
  'node_modules/yaml/dist/compose/composer.js',
  'node_modules/@peculiar/x509/build/x509.es.js',
  'node_modules/tsyringe/node_modules/tslib/tslib.es6.js',
];
const MATERIALS = materialsOf(INPUTS, VERSION);

describe('what an executable is made of', () => {
  test('is each package once, what lmdb carries inside, and the runtime; not our own files', () => {
    const names = MATERIALS.map(({ name }) => name);
    const native = ['bun', 'libc++', 'liblmdb', 'lz4', 'node-addon-api'];
    expect(names).toEqual(['@peculiar/x509', ...native, 'tslib', 'yaml']);
  });

  test('has for each a version, a licence and what its licence wants passed on', () => {
    for (const { name, version, license, notices } of MATERIALS) {
      expect([name, version]).toEqual([name, expect.stringMatching(/^(of zig )?\d+\.\d+\.\d+$/)]);
      expect(license).toMatch(/^\(?[A-Z0-9]/);
      expect(notices.join('').length).toBeGreaterThan(50);
    }
  });

  test('is a CycloneDX document: references are unique, hashes those of package-lock.json', () => {
    const bytes = new TextEncoder().encode('executable');
    const document = JSON.parse(
      cycloneDx(MATERIALS, { name: 'holdfast', bytes, version: VERSION }),
    );
    expect(document).toMatchObject({
      bomFormat: 'CycloneDX',
      specVersion: '1.6',
      metadata: {
        timestamp: '2026-11-24T00:00:00.000Z',
        component: { name: 'holdfast', version: '1.2.3+abc1234.changes' },
      },
    });
    const refs = document.components.map(
      (component: Record<string, string>) => component['bom-ref'],
    );
    expect(new Set(refs).size).toBe(MATERIALS.length);
    expect(document.dependencies).toEqual([{ ref: 'holdfast', dependsOn: refs }]);
    expect(refs[0]).toMatch(/^pkg:npm\/%40peculiar\/x509@\d/);
    expect(document.components[0].hashes[0].content).toMatch(/^[0-9a-f]{128}$/);
  });

  test('is a text with a heading for each', () => {
    const text = noticesText(MATERIALS);
    for (const { name, version } of MATERIALS) expect(text).toContain(`\n${name} ${version}: `);
    expect(text).toContain('OpenLDAP');
    expect(text).toContain('LGPL');
  });
});
