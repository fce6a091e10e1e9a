/**
 * The agent as a user of its own with the capabilities that own-user.conf lists, on a device whose
 * directories belong to root: files and programs of other users all the same. And who may open which
 * of its sockets: the kernel decides.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { output, run } from '../support/command.ts';
import { type Device, holdfast, programsOf } from '../support/device.ts';
import { eventually } from '../support/eventually.ts';
import { isRoot, program, ROOT } from '../support/parts.ts';
import {
  filesSpec,
  linesOf,
  makePlant,
  missing,
  type Parts,
  type Plant,
  processSpec,
  programText,
  startParts,
} from '../support/plant.ts';

const needed = ['setpriv', 'setcap', 'curl', 'perl'].find((name) => program(name) === null);
const lacking = missing ?? (isRoot ? null : 'not root') ?? needed ?? null;
const real = lacking === null ? test : test.skip;
const title = (what: string) => (lacking === null ? what : `${what} (${lacking})`);

/** Nobody's: neither of them has a name in /etc/passwd. */
const AGENT = 65_500;
const STRANGER = 65_501;
/** `daemon` on Debian: owner of what is deployed, and the group of control.sock here. */
const DAEMON = 1;

/** HOLDFAST_WITHOUT=cap_kill leaves one out, to see what it is for. */
const capabilities = (
  /^CapabilityBoundingSet=(CAP_.*)$/m
    .exec(readFileSync(join(ROOT, 'targets/linux-x64/own-user.conf'), 'utf8'))?.[1]
    ?.toLowerCase()
    .split(' ') ?? []
).filter((name) => name !== process.env.HOLDFAST_WITHOUT);
const bounding = ['-all', ...capabilities.map((name) => `+${name.slice(4)}`)].join(',');

let parts: Parts;
let plant: Plant;
let device: Device;
let own: string;
/** the same without, for everybody */
let plain: string;
/** Replaces the executable that follows by the copy with the capabilities. */
let wrap: readonly string[];

beforeAll(async () => {
  if (lacking !== null) return;
  parts = await startParts();
  plant = await makePlant(parts);
  own = join(plant.folder, 'holdfast');
  plain = join(plant.folder, 'plain');
  copyFileSync(holdfast, plain);
  chmodSync(plain, 0o755);
  copyFileSync(holdfast, own);
  // First the owner: changing it takes the capabilities away.
  chownSync(own, 0, AGENT);
  chmodSync(own, 0o750);
  await output([program('setcap') ?? '', `${capabilities.join(',')}+ep`, own]);
  const user = as(AGENT, ['--groups', String(DAEMON), '--bounding-set', bounding]);
  wrap = ['/bin/sh', '-c', `shift; exec ${user.join(' ')} ${own} "$@"`, 'sh'];
  copyFileSync(plant.root, join(plant.folder, 'root.json'));
  chmodSync(plant.folder, 0o755);
  chmodSync(join(plant.folder, 'root.json'), 0o644);
  device = plant.device('press-7', {
    wrap,
    settings: {
      trust: { root: join(plant.folder, 'root.json'), allowDemo: true },
      sockets: { group: 'daemon' },
      runtimes: { process: { user: 'daemon' } },
    },
  });
  for (const directory of [device.stateDir, device.runDir]) {
    mkdirSync(directory, { mode: directory === device.stateDir ? 0o700 : 0o755 });
    chownSync(directory, AGENT, AGENT);
  }
  chmodSync(device.opt, 0o755);
});
afterAll(async () => {
  await plant?.remove();
  await parts?.remove();
});

function as(uid: number, more: readonly string[] = ['--clear-groups']): readonly string[] {
  return ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, ...more, '--inh-caps=-all'];
}

async function publish(version: string): Promise<string> {
  plant.write('canary', 'conf', `speed=${version}\n`);
  plant.write('canary', 'run', programText(version, join(device.opt, 'data/journal')), 0o755);
  const target = join(device.opt, 'line.conf');
  plant.deploy(
    'canary',
    'conf',
    filesSpec({ conf: { blob: 'conf', target, owner: 'daemon', mode: '0640' } }),
  );
  const data = [{ path: join(device.opt, 'data'), mode: '0700', owner: 'daemon' }];
  plant.deploy('canary', 'line', processSpec({ blob: 'run', user: 'daemon' }, { data }));
  return (await plant.publish('canary')).point;
}

/** A field of /proc/PID/status. */
function field(pid: number, name: string): string {
  const text = readFileSync(`/proc/${pid}/status`, 'latin1');
  return new RegExp(`^${name}:\\s+(.*)$`, 'm').exec(text)?.[1] ?? '';
}

describe('an agent that is not root', () => {
  real(
    title('places files of other users and runs programs as them, in directories of root'),
    async () => {
      await device.start();
      expect(field(device.pid(), 'Uid').split('\t')).toEqual(Array(4).fill(String(AGENT)));
      await device.applied(await publish('one'));
      const { uid, mode } = statSync(join(device.opt, 'line.conf'));
      expect([uid, mode & 0o7777]).toEqual([DAEMON, 0o640]);
      const journal = join(device.opt, 'data/journal');
      await eventually('the program runs', () => linesOf(journal)[0]?.startsWith('one '));
      expect(lstatSync(journal).uid).toBe(DAEMON);
    },
    60_000,
  );

  real(title('hands no capability down to what it starts'), () => {
    const programs = programsOf(device.stateDir);
    expect(programs.length).toBeGreaterThan(0);
    for (const pid of programs) {
      expect(field(pid, 'Uid').split('\t')).toEqual(Array(4).fill(String(DAEMON)));
      for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb']) {
        expect([set, field(pid, set)]).toEqual([set, '0000000000000000']);
      }
    }
  });

  real(
    title('finds its programs again after a restart, and ends them for the next state'),
    async () => {
      const [before] = linesOf(join(device.opt, 'data/journal'));
      await device.stop();
      // As after a cut before the record was written: only the mark in its environment is left.
      rmSync(join(device.runDir, 'processes'), { recursive: true });
      await device.start();
      const journal = join(device.opt, 'data/journal');
      expect(linesOf(journal)).toEqual([before ?? '']);
      await device.applied(await publish('two'));
      await eventually('the next runs', () =>
        linesOf(journal).some((line) => line.startsWith('two ')),
      );
      expect(linesOf(journal).map((line) => line.replace(/ \d+$/, ''))).toEqual([
        'one',
        'end one',
        'two',
      ]);
      expect(device.read('line.conf')).toBe('speed=two\n');
    },
    60_000,
  );

  real(
    title('does not start where programs would inherit: config.ambient-capabilities'),
    async () => {
      const handed = ['--inh-caps=+kill', '--ambient-caps=+kill', '--clear-groups'];
      const ids = [`--reuid=${AGENT}`, `--regid=${AGENT}`];
      const agent = [plain, 'agent', '--once', '--config', device.configFile];
      const ended = await run(['setpriv', ...ids, ...handed, ...agent]);
      expect(ended.code).toBe(2);
      expect(ended.err).toContain('config.ambient-capabilities');
    },
    30_000,
  );

  real(title('does nothing where everybody may run its file: config.open-executable'), async () => {
    // Through a shell: setpriv itself still may what root may.
    const stranger = [...as(STRANGER), 'sh', '-c', `exec ${own} --version`];
    expect((await run(stranger)).code).toBe(126);
    expect((await run(stranger)).err).toContain('Permission denied');
    chmodSync(own, 0o755);
    const ended = await run(stranger);
    chmodSync(own, 0o750);
    expect(ended.code).toBe(2);
    expect(ended.err).toContain('config.open-executable');
  });
});

test.skipIf(lacking !== null)(
  title('root without CAP_SYS_PTRACE, as in a container, is told by doctor'),
  async () => {
    const doctor = [plain, 'doctor', '-o', 'json', '--config', device.configFile];
    const inContainer = ['setpriv', '--bounding-set=-sys_ptrace', '--inh-caps=-all'];
    const SAID = 'root without CAP_SYS_PTRACE';
    expect((await run([...inContainer, ...doctor])).out).toContain(SAID);
    expect((await run(doctor)).out).not.toContain(SAID);
  },
);

/** connect(2), and what it says when it does not. */
const CONNECT = `use IO::Socket::UNIX; IO::Socket::UNIX->new(Peer => $ARGV[0]) ? print "open" : print "$!"`;

describe('the sockets', () => {
  const socket = (name: string) => join(device.runDir, name);
  const STRANGE = as(STRANGER);
  const MEMBER = as(STRANGER, ['--groups', String(DAEMON)]);
  const connect = (who: readonly string[], name: string) =>
    output([...who, 'perl', '-e', CONNECT, socket(name)]);
  /** The HTTP status; `000` without a connection. */
  const ask = async (who: readonly string[], name: string, request: readonly string[]) => {
    const [method = '', path = ''] = request;
    const say = ['-sS', '-o', '/dev/null', '-w', '%{http_code}', '-X', method];
    const url = `http://holdfast${path}`;
    return (await run([...who, 'curl', ...say, '--unix-socket', socket(name), url])).out;
  };

  real(title('status.sock: everybody reads, nobody changes'), async () => {
    expect(await connect(STRANGE, 'status.sock')).toBe('open');
    for (const [method, path, status] of [
      ['GET', '/v1/status', '200'],
      ['GET', '/v1/explain', '200'],
      ['GET', '/v1/history', '200'],
      ['POST', '/v1/pause', '403'],
      ['POST', '/v1/apply', '403'],
      ['POST', '/v1/stop', '403'],
      ['GET', '/v1/logs?deployment=line', '403'],
      ['GET', '/v1/audit', '403'],
    ] as const) {
      expect([path, await ask(STRANGE, 'status.sock', [method, path])]).toEqual([path, status]);
    }
  });

  real(title('control.sock: the kernel lets its group in and nobody else'), async () => {
    const { mode, gid, uid } = statSync(socket('control.sock'));
    expect([mode & 0o777, uid, gid]).toEqual([0o660, AGENT, DAEMON]);
    expect(await connect(STRANGE, 'control.sock')).toBe('Permission denied');
    expect(await ask(STRANGE, 'control.sock', ['POST', '/v1/pause'])).toBe('000');
    expect(await connect(MEMBER, 'control.sock')).toBe('open');
    expect(await ask(MEMBER, 'control.sock', ['POST', '/v1/pause'])).toBe('200');
    expect(await ask(MEMBER, 'control.sock', ['POST', '/v1/resume'])).toBe('200');
  });

  real(title('commands: a stranger reads the status and is told who may pause'), async () => {
    const command = (who: readonly string[], name: string) =>
      run([...who, plain, name, '--run-dir', device.runDir]);
    expect((await command(STRANGE, 'status')).code).toBe(0);
    const denied = await command(STRANGE, 'pause');
    expect(denied.code).not.toBe(0);
    expect(denied.err).toContain('control.');
    expect((await device.status()).channels[0]?.phase).toBe('idle');
    expect((await command(MEMBER, 'pause')).code).toBe(0);
    expect((await command(MEMBER, 'resume')).code).toBe(0);
  });
});
