/** The Margo API's bodies: every example document by its index, read as the agent or the hub reads it. */
import { describe, expect, test } from 'bun:test';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ok } from '#errors/fault.ts';
import { systemInflate } from '#platform/node/inflate.ts';
import { sha256 } from '#state/digest.ts';
import { readMargoBundle } from '#wire/margo-bundle.ts';
import { readMargoCapabilities } from '#wire/margo-capabilities.ts';
import { readMargoManifest } from '#wire/margo-manifest.ts';
import { readProblem } from '#wire/margo-problem.ts';
import { readMargoStatus } from '#wire/margo-status.ts';

const SHARED = process.env.HOLDFAST_VECTORS ?? join(import.meta.dir, '../../../../shared');
const EXAMPLES = join(SHARED, 'margo/examples');
const present = existsSync(join(EXAMPLES, 'index.json'));

interface Example {
  readonly file: string;
  readonly schema: string | null;
  readonly expect: 'accept' | 'tolerate' | 'refuse-schema' | 'refuse-logic';
  readonly why: string;
}

const bytes = (file: string): Uint8Array => new Uint8Array(readFileSync(join(EXAMPLES, file)));
const all: readonly Example[] = present
  ? (JSON.parse(readFileSync(join(EXAMPLES, 'index.json'), 'utf8')) as readonly Example[])
  : [];
const examples = (schema: string): readonly Example[] => all.filter((one) => one.schema === schema);

/** What only the bytes behind a digest show: the manifest itself reads. */
const BEHIND = /manifest\/invalid\/(digest-mismatch|id-not-in-document|bundle-)/;

describe.skipIf(!present)(`Margo's examples${present ? '' : ' (skipped: none here)'}`, () => {
  for (const { file, expect: wanted, why } of examples('StateManifest')) {
    const reads =
      !wanted.startsWith('refuse') || (BEHIND.test(file) && !/bundle-missing\.json/.test(file));
    test(`${file}: ${reads ? 'read' : 'refused'}: ${why}`, () => {
      const read = readMargoManifest(bytes(file));
      expect(read.ok ? 'ok' : read.fault.code).toBe(reads ? 'ok' : 'margo.manifest');
    });
  }

  test('a version beyond 2^53 is exactly its digits', () => {
    const read = readMargoManifest(bytes('manifest/beyond-double.json'));
    expect(read.ok && read.value.version).toBe(9_007_199_254_740_993n);
    const most = readMargoManifest(bytes('manifest/max-version.json'));
    expect(most.ok && most.value.version).toBe(2n ** 64n - 1n);
  });

  test('a manifest that is wrong names the failing member as a JSON pointer', () => {
    const read = readMargoManifest(bytes('manifest/invalid/url-foreign-origin.json'));
    expect(read.ok ? '' : read.fault.message).toContain('/url: ');
  });

  for (const [manifest, archive] of [
    ['manifest/one.json', 'bundle/one.tar.gz'],
    ['manifest/many.json', 'bundle/many.tar.gz'],
    ['manifest/removed-one.json', 'bundle/two.tar.gz'],
    ['manifest/invalid/bundle-extra-entry.json', 'bundle/invalid/extra-entry.tar.gz'],
    ['manifest/invalid/bundle-missing-entry.json', 'bundle/invalid/missing-entry.tar.gz'],
    ['manifest/invalid/bundle-symlink.json', 'bundle/invalid/symlink-entry.tar.gz'],
    ['manifest/invalid/bundle-traversal.json', 'bundle/invalid/traversal-entry.tar.gz'],
  ] as const) {
    const taken = !archive.includes('invalid');
    test(`${archive} is ${taken ? 'exactly' : 'not'} the set that ${manifest} lists`, () => {
      const read = readMargoManifest(bytes(manifest));
      if (!read.ok) throw new Error(read.fault.message);
      expect(read.value.bundle).toBe(sha256(bytes(archive)));
      const unpacked = systemInflate().gunzip([ok(bytes(archive))], 1024 * 1024);
      const wanted = new Set(read.value.deployments.map(({ digest }) => digest));
      const found = readMargoBundle(unpacked, wanted);
      if (taken) expect(found.ok && found.value.size).toBe(wanted.size);
      else expect(found.ok ? 'ok' : found.fault.code).toMatch(/^(margo\.bundle|format\.tar)$/);
    });
  }

  for (const { file, expect: wanted, why } of examples('DeviceCapabilities')) {
    test(`${file}: ${wanted}: ${why}`, () => {
      const id = /"id": ?"([^"]*)"/.exec(readFileSync(join(EXAMPLES, file), 'utf8'))?.[1] ?? '';
      const read = readMargoCapabilities(bytes(file), id);
      expect(read.kind).toBe(wanted.startsWith('refuse') ? 'wrong' : 'read');
    });
  }

  const FIRST = '6f1c0a52-3b7e-4d0a-9a41-0d5f6c1e2b01';
  for (const { file, expect: wanted, why } of examples('DeploymentStatus')) {
    // What the document has is not known to who reads the body.
    const taken = !wanted.startsWith('refuse') || file.includes('component-left-out');
    test(`${file}: ${taken ? 'taken' : 'refused'}: ${why}`, () => {
      const text = readFileSync(join(EXAMPLES, file), 'utf8');
      const own = /"deploymentId": ?"([^"]*)"/.exec(text)?.[1] ?? '';
      const id = file.includes('id-differs') ? FIRST : own;
      expect(readMargoStatus(bytes(file), id, 'rc3').kind).toBe(taken ? 'read' : 'wrong');
    });
  }

  test('a status of the older dialects needs no version', () => {
    const body = bytes('status/legacy-installed.json');
    expect(readMargoStatus(body, FIRST, 'rc2').kind).toBe('read');
    expect(readMargoStatus(body, FIRST, 'rc3').kind).toBe('wrong');
  });

  for (const { file } of [...examples('Problem'), ...examples('LegacyError')]) {
    test(`${file}: says something to a person`, () => {
      const problem = readProblem(bytes(file));
      expect(problem.title.length).toBeGreaterThan(2);
      if (file.includes('404-bundle')) expect(problem.kind).toBe('invalid-bundle');
      if (file.includes('unknown-type')) expect(problem.kind).toBeNull();
    });
  }
});
