/** The runtime `files` cut at every change it makes to the disk, then ended by an agent without memory. */
import { describe, expect, test } from 'bun:test';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { filesRuntime } from '#apply/runtimes/files.ts';
import { systemFiles } from '#platform/node/files.ts';
import type { Generation } from '#state/generation.ts';
import { file } from '../../contract/runtime-world.ts';
import { value } from '../../support/store.ts';
import { Cut, cuttingFiles } from './cutting-files.ts';
import { filesWorld, OTHER, SITE } from './files-world.ts';

const { world, anew, at, text, fresh, files } = filesWorld();

describe('L12: a cut at every change of the disk', () => {
  /** file, tree with adoption, a target that is dropped, one that is new */
  const build = () => {
    writeFileSync(at('plc.conf'), 'by hand');
    mkdirSync(at('site'));
    writeFileSync(at('site/mine'), 'by hand');
    const adopt = { adopt: true };
    const old = files({ conf: 'old', site: SITE }, [
      file(at('plc.conf'), 'conf'),
      file(at('site'), 'site', adopt),
      file(at('dropped.conf'), 'conf', { name: 'dropped' }),
    ]);
    const next = files({ conf: 'next', site: OTHER }, [
      file(at('plc.conf'), 'conf'),
      file(at('site'), 'site', adopt),
      file(at('new/added.conf'), 'conf', { name: 'added' }),
    ]);
    return { old, next };
  };
  const read = (name: string) => (existsSync(at(name)) ? text(name) : '-');
  const sees = () =>
    ['plc.conf', 'site/mine', 'site/index.html', 'dropped.conf', 'new/added.conf']
      .map(read)
      .join(' ');
  const ORIGIN = 'by hand by hand - - -';
  const OLD = 'old - one old -';
  const NEXT = 'next - two - next';

  const SITUATIONS = [
    ['first activation, undone', null, 'old', ORIGIN],
    ['first activation, gone on with', null, 'old', OLD],
    ['change, undone', 'old', 'next', OLD],
    ['change, gone on with', 'old', 'next', NEXT],
    ['removal, undone', 'old', null, OLD],
    ['removal, gone on with', 'old', null, ORIGIN],
  ] as const;
  for (const [title, from, to, end] of SITUATIONS) {
    test(`${title}: ends whole, whatever was cut`, async () => {
      for (let cutAt = 1; ; cutAt += 1) {
        anew();
        const generations = build();
        const before = from && generations[from];
        const after = to && generations[to];
        if (before) value(await fresh().activate(before, null));
        const cutting = cuttingFiles(systemFiles(), cutAt);
        const runtime = filesRuntime({ ...world().options, files: cutting.files });
        const cut = await change(runtime, before, after).then(
          () => false,
          (error) => {
            if (!(error instanceof Cut)) throw error;
            return true;
          },
        );
        if (!cut) {
          expect(cutAt).toBeGreaterThan(10);
          break;
        }
        const goesOn = title.endsWith('gone on with');
        await change(fresh(), goesOn ? before : after, goesOn ? after : before);
        expect(`cut ${cutAt}: ${sees()}`).toBe(`cut ${cutAt}: ${end}`);
      }
    }, 60_000);
  }

  async function change(
    runtime: ReturnType<typeof fresh>,
    before: Generation | null,
    after: Generation | null,
  ): Promise<void> {
    if (!after) {
      if (before) value(await runtime.deactivate(before));
      return;
    }
    value(await runtime.prepare(after));
    value(await runtime.activate(after, before));
  }
});
