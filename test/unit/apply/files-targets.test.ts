/** The runtime `files`: where it may write, hooks, data directories, two that share a target. */
import { describe, expect, test } from 'bun:test';
import {
  existsSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { filesRuntime } from '#apply/runtimes/files.ts';
import type { Hook } from '#state/deployment.ts';
import { file } from '../../contract/runtime-world.ts';
import { isRoot } from '../../support/parts.ts';
import { codeOf, value } from '../../support/store.ts';
import { filesWorld, SITE } from './files-world.ts';

const { world, at, text, fresh, files, site } = filesWorld();

describe('places that states may not write', () => {
  const write = (target: string) => fresh().prepare(files({ conf: 'x' }, [file(target, 'conf')]));

  test('the agent’s own files are protected, by whatever path', async () => {
    expect(codeOf(await write('/etc/passwd'))).toBe('plan.target-outside-roots');
    const inside = filesRuntime({ ...world().options, roots: ['/'] });
    for (const target of [
      `${world().stateDir}/content/x`,
      `${world().runDir}/control.sock`,
      world().stateDir,
      world().path,
    ]) {
      const generation = files({ conf: 'x' }, [file(target, 'conf')]);
      expect(codeOf(await inside.prepare(generation))).toBe('apply.protected-path');
    }
  });

  test('another deployment’s generations are out of reach', async () => {
    expect(codeOf(await write(at('.holdfast/line/x')))).toBe('apply.protected-path');
    expect(codeOf(await write(at('.holdfast-abc.tmp')))).toBe('apply.protected-path');
  });

  test('D18: a directory on the way that became a link is not followed', async () => {
    value(await write(at('sub/plc.conf')));
    renameSync(at('sub'), at('real'));
    symlinkSync(world().stateDir, at('sub'));
    const generation = files({ conf: 'x' }, [file(at('sub/plc.conf'), 'conf')]);
    expect(codeOf(await fresh().activate(generation, null))).toBe('apply.protected-path');
    rmSync(at('sub'));
    symlinkSync('/tmp', at('sub'));
    expect(codeOf(await fresh().activate(generation, null))).toBe('platform.link');
    expect(existsSync('/tmp/plc.conf')).toBe(false);
  });

  const mounts = isRoot && Bun.spawnSync(['unshare', '-m', 'true']).exitCode === 0;
  test.if(mounts)('D21: nothing is put over a mount point', async () => {
    mkdirSync(at('site'));
    const mounted = Bun.spawnSync(['mount', '-t', 'tmpfs', 'none', at('site')]);
    expect(mounted.exitCode).toBe(0);
    try {
      const adopting = site(SITE, { adopt: true });
      expect(codeOf(await fresh().prepare(adopting))).toBe('apply.mount-point');
      // Nor is a directory moved that has one inside.
      const outer = files({ site: SITE }, [file(`${world().root}/line`, 'site', { adopt: true })]);
      expect(codeOf(await fresh().prepare(outer))).toBe('apply.mount-point');
    } finally {
      Bun.spawnSync(['umount', at('site')]);
    }
  });
});

describe('the reload hook', () => {
  const hook = (script: string, timeoutMs = 2_000): Hook => ({
    command: ['/bin/sh', '-c', script],
    timeoutMs,
  });
  const hooked = (content: string, script: string) =>
    files({ conf: content }, [file(at('plc.conf'), 'conf')], { reload: hook(script) });
  const count = () => (existsSync(at('count')) ? text('count').length : 0);

  test('runs after a change, and only then', async () => {
    const script = `printf x >> ${at('count')}`;
    value(await fresh().activate(hooked('1', script), null));
    expect(count()).toBe(1);
    value(await fresh().activate(hooked('1', script), hooked('1', script)));
    expect(count()).toBe(1);
    value(await fresh().activate(hooked('2', script), hooked('1', script)));
    expect(count()).toBe(2);
  });

  test('its failure fails the activation, with what it said', async () => {
    const failed = await fresh().activate(hooked('1', 'echo no such line; exit 3'), null);
    expect(codeOf(failed)).toBe('apply.reload-failed');
    expect(failed.ok ? '' : failed.fault.message).toContain('code 3: no such line');
  });

  test('its failure does not keep an undo from ending', async () => {
    const generation = hooked('1', 'exit 1');
    expect(codeOf(await fresh().activate(generation, null))).toBe('apply.reload-failed');
    value(await fresh().deactivate(generation));
    expect(existsSync(at('plc.conf'))).toBe(false);
  });

  test('runs again when the agent was cut before it had ended', async () => {
    const generation = hooked('1', `test -e ${at('ready')} && printf x >> ${at('count')}`);
    expect(codeOf(await fresh().activate(generation, null))).toBe('apply.reload-failed');
    writeFileSync(at('ready'), '');
    value(await fresh().activate(generation, null));
    expect(count()).toBe(1);
  });

  test('L18: one that ignores SIGTERM and leaves a grandchild is ended at its timeout', async () => {
    const generation = files({ conf: '1' }, [file(at('plc.conf'), 'conf')], {
      reload: hook('trap "" TERM; sleep 1000 & wait', 200),
    });
    const failed = await fresh().activate(generation, null);
    expect(failed.ok ? '' : failed.fault.message).toContain('no end after 200 ms');
  });
});

describe('data directories', () => {
  const withData = (onRemove: 'keep' | 'purge') =>
    world().generation(
      'line',
      { conf: 'x' },
      {
        profile: { kind: 'files', components: [file(at('plc.conf'), 'conf')], reload: null },
        data: [{ path: at('data'), mode: 0o750, owner: null, onRemove }],
      },
    );

  for (const [onRemove, left] of [
    ['keep', true],
    ['purge', false],
  ] as const) {
    test(`onRemove: ${onRemove}, after the sweep of a removal`, async () => {
      const generation = withData(onRemove);
      value(await fresh().activate(generation, null));
      expect(statSync(at('data')).mode & 0o777).toBe(0o750);
      writeFileSync(at('data/measured'), '1');
      value(await fresh().deactivate(generation));
      expect(existsSync(at('data/measured'))).toBe(true);
      value(await fresh().sweep('line', new Set()));
      expect(existsSync(at('data/measured'))).toBe(left);
    });
  }

  test('a removal that was undone purges nothing later', async () => {
    const generation = withData('purge');
    value(await fresh().activate(generation, null));
    value(await fresh().deactivate(generation));
    value(await fresh().activate(generation, null));
    value(await fresh().sweep('line', new Set([generation.digest])));
    expect(existsSync(at('data'))).toBe(true);
  });
});

describe('two deployments and one target in one change', () => {
  const owner = (id: string, content: string) =>
    files({ conf: content }, [file(at('plc.conf'), 'conf')], { id });
  const without = (id: string) => files({ conf: id }, [file(at(`${id}.conf`), 'conf')], { id });

  test('the one that takes it keeps it, and what stood there first comes back in the end', async () => {
    writeFileSync(at('plc.conf'), 'by hand');
    value(await fresh().activate(owner('one', 'of one'), null));
    // The taker is activated before the giver lets go.
    value(await fresh().activate(owner('two', 'of two'), without('two')));
    value(await fresh().activate(without('one'), owner('one', 'of one')));
    expect(text('plc.conf')).toBe('of two');
    value(await fresh().deactivate(owner('two', 'of two')));
    expect(text('plc.conf')).toBe('by hand');
  });

  test('undone in reverse order, the giver has it again', async () => {
    value(await fresh().activate(owner('one', 'of one'), null));
    value(await fresh().activate(owner('two', 'of two'), without('two')));
    value(await fresh().activate(without('one'), owner('one', 'of one')));
    value(await fresh().activate(owner('one', 'of one'), without('one')));
    value(await fresh().activate(without('two'), owner('two', 'of two')));
    expect(text('plc.conf')).toBe('of one');
    value(await fresh().deactivate(owner('one', 'of one')));
    expect(existsSync(at('plc.conf'))).toBe(false);
  });
});
