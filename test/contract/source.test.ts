/** Bundles keep the contract of a source; test/real/registry.test.ts runs it for registries. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemFiles } from '#platform/node/files.ts';
import { ociLayout } from '#sources/oci-layout.ts';
import { layoutTar, type Published, writeLayout } from '../support/published.ts';
import { type SourceUnderTest, sourceContract } from './source.contract.ts';

async function bundle(inTar: boolean): Promise<SourceUnderTest> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-bundle-'));
  const directory = join(folder, 'layout');
  const path = inTar ? join(folder, 'bundle.tar') : directory;
  const write = (states: readonly Published[]): void => {
    writeLayout(
      directory,
      states.map((state, index) =>
        index === states.length - 1 ? { state, name: 'stable' } : { state },
      ),
    );
    if (inTar) writeFileSync(path, layoutTar(directory));
  };
  const states: Published[] = [];
  write(states);
  return {
    source: ociLayout(systemFiles(), path, { channel: 'stable' }),
    publish: (state) => {
      states.push(state);
      write(states);
    },
    remove: () => rmSync(folder, { recursive: true }),
  };
}

sourceContract('oci-layout, a directory', () => bundle(false));
sourceContract('oci-layout, a tar', () => bundle(true));
