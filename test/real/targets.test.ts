/** What is installed beside the executable: configuration and units of every target. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseConfig } from '#agent/config.ts';
import { hostileEnvironment } from '#cli/startup.ts';
import { readTarget, targetNames } from '../../scripts/targets.ts';
import { program, ROOT } from '../support/parts.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-targets-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(target: string, name: string): string {
  return join(ROOT, 'targets', target, name);
}

const analyze = program('systemd-analyze');
const sysusers = program('systemd-sysusers');
const withAnalyze = analyze === null ? test.skip : test;
const withSysusers = sysusers === null ? test.skip : test;
const reason = (there: string | null) => (there === null ? ' (needs systemd)' : '');

for (const target of targetNames()) {
  describe(`target ${target}`, () => {
    test('target.json names this version of the runtime and of lmdb', () => {
      const { runtime, addon } = readTarget(target);
      const { devDependencies, dependencies } = JSON.parse(
        readFileSync(join(ROOT, 'package.json'), 'utf8'),
      );
      expect(runtime.version).toBe(devDependencies.bun);
      expect(addon.prebuilt.version).toBe(dependencies.lmdb);
    });

    test('agent.yaml is accepted as it stands', () => {
      const read = parseConfig(
        readFileSync(file(target, 'agent.yaml')),
        '/etc/holdfast/agent.yaml',
      );
      expect(read).toMatchObject({
        ok: true,
        value: { stateDir: '/var/lib/holdfast', mqtt: null },
      });
    });

    test('agent.yaml is accepted with all that its comments offer', () => {
      const [head = '', body = ''] = readFileSync(file(target, 'agent.yaml'), 'utf8').split(
        /^(?=apiVersion)/m,
      );
      expect(head).toMatch(/^(#.*\n)+$/);
      // The two kinds of credentials exclude each other.
      const all = body.replace(/^.*tokenFile.*\n/m, '').replace(/^( *)# /gm, '$1');
      const read = parseConfig(new TextEncoder().encode(all), '/etc/holdfast/agent.yaml');
      expect(read).toMatchObject({
        ok: true,
        value: {
          device: { id: 'press-7', labels: { site: 'north' } },
          trust: { clock: 'strict', allowDemo: true },
          registries: [{ insecure: true, proxy: 'http://proxy.example:3128' }],
          mqtt: { url: 'mqtts://broker.example:8883' },
        },
      });
    });

    test('the unit keeps programs alive and unsets what the program refuses', () => {
      const unit = readFileSync(file(target, 'holdfast.service'), 'utf8');
      expect(unit).toMatch(/^KillMode=process$/m);
      expect(unit).toMatch(/^RuntimeDirectoryPreserve=yes$/m);
      const unset = /^UnsetEnvironment=(.*)$/m.exec(unit)?.[1]?.split(' ') ?? [];
      const refused = ['BUN_OPTIONS', 'BUN_BE_BUN', 'NODE_TLS_REJECT_UNAUTHORIZED'];
      expect(unset).toEqual(expect.arrayContaining(refused));
      for (const name of refused) expect(hostileEnvironment({ [name]: '1' })).not.toBeNull();
    });

    test('own-user.conf bounds the agent by the capabilities that docs/install.md sets', () => {
      const bounding = /^CapabilityBoundingSet=(CAP_.*)$/m.exec(
        readFileSync(file(target, 'own-user.conf'), 'utf8'),
      );
      const page = readFileSync(join(ROOT, 'docs/install.md'), 'utf8');
      const set = /^setcap (\S+)\+ep /m.exec(page);
      expect(set?.[1]?.split(',')).toEqual(bounding?.[1]?.toLowerCase().split(' '));
    });

    const both = ['the units', 'the units with own-user.conf'] as const;
    withAnalyze.each(both)(`systemd finds nothing to say about %s${reason(analyze)}`, (which) => {
      const units = join(folder, target, which);
      mkdirSync(join(units, 'holdfast.service.d'), { recursive: true });
      const unit = readFileSync(file(target, 'holdfast.service'), 'utf8');
      // The program is not installed on this machine; any that is will do.
      const here = unit.replace('/usr/bin/holdfast', program('true') ?? '/bin/true');
      writeFileSync(join(units, 'holdfast.service'), here);
      if (which === 'the units with own-user.conf') {
        const own = readFileSync(file(target, 'own-user.conf'), 'utf8')
          .replace('/usr/libexec/holdfast-agent', program('true') ?? '/bin/true')
          .replace(/holdfast-agent$/gm, 'daemon');
        writeFileSync(join(units, 'holdfast.service.d/own-user.conf'), own);
      }
      copyFileSync(file(target, 'holdfast-ready.target'), join(units, 'holdfast-ready.target'));
      const command = ['verify', '--man=no', 'holdfast.service', 'holdfast-ready.target'];
      const ran = spawnSync(analyze ?? '', command, {
        cwd: units,
        env: { SYSTEMD_UNIT_PATH: `${units}:` },
        encoding: 'utf8',
      });
      expect({ code: ran.status, err: ran.stderr }).toEqual({ code: 0, err: '' });
    });

    withSysusers(
      `the user of programs is no member of the group that steers the agent${reason(sysusers)}`,
      () => {
        const root = join(folder, `${target}-root`);
        mkdirSync(join(root, 'etc'), { recursive: true });
        writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n');
        writeFileSync(join(root, 'etc/group'), 'root:x:0:\nnogroup:x:65534:\n');
        const ran = spawnSync(
          sysusers ?? '',
          [`--root=${root}`, file(target, 'holdfast.sysusers.conf')],
          {
            encoding: 'utf8',
          },
        );
        expect({ code: ran.status, err: ran.stderr }).toMatchObject({ code: 0 });
        const group = /^holdfast:[^:]*:(\d+):(.*)$/m.exec(
          readFileSync(join(root, 'etc/group'), 'utf8'),
        );
        const user = /^holdfast:[^:]*:\d+:(\d+):/m.exec(
          readFileSync(join(root, 'etc/passwd'), 'utf8'),
        );
        expect(group?.[2]).toBe('');
        expect(user?.[1]).toBe('65534');
        expect(group?.[1]).not.toBe('65534');
        // Nor is the agent's own user, whose group alone may run the file with the capabilities.
        const own = readFileSync(join(root, 'etc/group'), 'utf8');
        expect(/^holdfast-agent:[^:]*:\d+:(.*)$/m.exec(own)?.[1]).toBe('');
      },
    );
  });
}
