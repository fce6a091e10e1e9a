/** What a device keeps of its enrolment, when its hub or its disk does not keep to the rules. */
import { afterAll, describe, expect, test } from 'bun:test';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { credentialFindings } from '#agent/credential-findings.ts';
import { askForCredential, hasNext, proveAndAdopt } from '#agent/credential-request.ts';
import {
  type Enrolled,
  enrolledPaths,
  inEnrolled,
  readCredential,
  readEnrolled,
  writeEnrolled,
} from '#agent/enrolled.ts';
import { openIdentity } from '#agent/identity.ts';
import { dueIn } from '#agent/renewal.ts';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { HubLink, Proof } from '#link/enrolment.ts';
import { parseCertificates } from '#platform/node/certificates.ts';
import { systemFiles } from '#platform/node/files.ts';
import { systemKeyFiles } from '#platform/node/key-files.ts';
import { systemRandom } from '#platform/node/random.ts';
import { systemX509 } from '#platform/node/x509.ts';
import type { IssuedAnswer } from '#state/enrolment.ts';
import { viewTime } from '#trust/time.ts';
import { codeOf, hubWorld } from '../../support/enrolment-world.ts';

const platform = {
  files: systemFiles(),
  x509: systemX509(),
  certificates: parseCertificates,
};
const hub = await hubWorld();
const other = await hubWorld();
const folders: string[] = [];
afterAll(() => {
  hub.close();
  other.close();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

interface Bench {
  readonly stateDir: string;
  readonly folder: string;
  /** asks, by way of a hub that changes its answer */
  ask(change?: (answer: IssuedAnswer) => IssuedAnswer): Promise<Result<unknown>>;
  adopt(proof?: Result<Proof>): Promise<Result<unknown>>;
}

async function bench(kind: Enrolled['kind'] = 'certificate'): Promise<Bench> {
  const stateDir = mkdtempSync(join(tmpdir(), 'holdfast-enrolled-'));
  folders.push(stateDir);
  const keys = systemKeyFiles();
  const made = keys.load(keys.generate(null).privatePem, null);
  if (!made.ok) throw new Error('no key');
  const id = `press-${folders.length}`;
  const enrolled: Enrolled = {
    ...{ hub: 'https://hub.example', authority: hub.authority.digest, deviceId: id, labels: {} },
    ...{ kind, proxy: null, token: hub.token(id), spent: null, root: null },
    ...{ registry: '', mqtt: '', channel: '' },
  };
  const paths = enrolledPaths(stateDir);
  const through = (
    change: (answer: IssuedAnswer) => IssuedAnswer,
    proof: Result<Proof>,
  ): HubLink => ({
    nonce: async () => ok(hub.service.nonce()),
    async ask(bytes) {
      const answer = await hub.service.ask(bytes, { address: '', deviceId: null });
      return answer.ok && answer.value.kind === 'issued' ? ok(change(answer.value)) : answer;
    },
    prove: async () => proof,
  });
  const good = ok({ device: id, fingerprint: '', renew: false });
  const parts = { platform, paths, signer: made.value, enrolled, agentVersion: '1' };
  return {
    stateDir,
    folder: paths.folder,
    ask: (change = (answer) => answer) =>
      inEnrolled(platform, stateDir, async (directory) => {
        const written = writeEnrolled(directory, enrolled);
        if (!written.ok) return written;
        return askForCredential({ ...parts, directory, hub: through(change, good) }, 'enrol');
      }),
    adopt: (proof = good) =>
      inEnrolled(platform, stateDir, (directory) =>
        proveAndAdopt({ ...parts, directory, hub: through((answer) => answer, proof) }),
      ),
  };
}

describe('N25: an answer of the hub is not used (enroll.answer)', () => {
  const foreign = platform.x509.makeRequest('x');
  test.each<[string, (answer: IssuedAnswer) => IssuedAnswer]>([
    ['for another device', (answer) => ({ ...answer, deviceId: 'press-99' })],
    ['of another kind', (answer) => ({ ...answer, credential: 'token', secret: 's' })],
    ['without a certificate', (answer) => ({ ...answer, certificate: '' })],
    [
      'with the hub’s own certificate',
      (answer) => ({ ...answer, certificate: answer.authorities }),
    ],
    [
      'with authorities that nobody knows',
      (answer) => ({ ...answer, authorities: other.authority.ca }),
    ],
  ])('%s', async (_what, change) => {
    const device = await bench();
    expect(codeOf(await device.ask(change))).toBe('enroll.answer');
    expect(existsSync(join(device.folder, 'next.pem'))).toBe(false);
    expect(foreign.csr.length).toBeGreaterThan(0);
  });
});

describe('the next credential', () => {
  test('takes the place of the one in use once it has opened the hub, not before', async () => {
    const device = await bench();
    await device.ask();
    const refused = refuse('link.unauthorized', { peer: 'hub', reason: 'no' });
    expect(codeOf(await device.adopt(refused))).toBe('enroll.unproven');
    const away = refuse('link.timeout', { peer: 'hub', ms: 1 });
    expect(codeOf(await device.adopt(away))).toBe('link.timeout');
    const stolen = ok({ device: 'press-99', fingerprint: '', renew: false });
    expect(codeOf(await device.adopt(stolen))).toBe('enroll.unproven');
    expect(existsSync(join(device.folder, 'credential.pem'))).toBe(false);
    expect(codeOf(await device.adopt())).toBe('ok');
    const [pem] = [readFileSync(join(device.folder, 'credential.pem'), 'utf8')];
    expect(pem).toMatch(/BEGIN CERTIFICATE[\s\S]*BEGIN PRIVATE KEY/);
    expect(existsSync(join(device.folder, 'next.pem'))).toBe(false);
  });

  test('of another kind takes the place of the old kind', async () => {
    const device = await bench('token');
    mkdirSync(device.folder, { recursive: true });
    await device.ask();
    writeFileSync(join(device.folder, 'credential.pem'), 'of before');
    expect(codeOf(await device.adopt())).toBe('ok');
    expect(existsSync(join(device.folder, 'credential.pem'))).toBe(false);
    expect(readFileSync(join(device.folder, 'secret'), 'utf8')).toMatch(/^[\w-]{43}\n$/);
  });

  test('whose dates a cut has lost is due at once', async () => {
    const device = await bench();
    await device.ask();
    rmSync(join(device.folder, 'next-credential.json'));
    await device.adopt();
    const held = await inEnrolled(platform, device.stateDir, (d) => readCredential(platform, d));
    if (!held.ok || !held.value) throw new Error('no credential');
    expect([held.value.issuedAt, dueIn(held.value, hub.clock.wallMs(), 0.5)]).toEqual([0, 0]);
    expect(hasNextIn(device)).toBe(false);
  });
});

function hasNextIn({ stateDir }: Bench): boolean {
  const opened = platform.files.open(enrolledPaths(stateDir).folder, { follow: true });
  return opened.ok && hasNext(opened.value);
}

test('a credential is due at two thirds of its life, spread over a tenth', () => {
  const held = { issuedAt: 1_000, notAfter: 31_000 };
  expect(dueIn(held, 1_000, 0)).toBe(20_000);
  expect(dueIn(held, 1_000, 1)).toBe(23_000);
  expect(dueIn(held, 30_000, 0)).toBeLessThan(0);
});

describe('damaged files are told (enroll.damaged) and stop nothing', () => {
  test.each([
    ['enrolment.json', '{"hub":'],
    ['enrolment.json', '{}'],
    ['credential.pem', 'nothing'],
  ])('%s: %s', async (name, text) => {
    const device = await bench();
    await device.ask();
    await device.adopt();
    writeFileSync(join(device.folder, name), text);
    const read = await inEnrolled<unknown>(platform, device.stateDir, (directory) => {
      const enrolled = readEnrolled(directory);
      return enrolled.ok ? readCredential(platform, directory) : enrolled;
    });
    expect(codeOf(read)).toBe('enroll.damaged');
    const time = viewTime({ floorMs: 0, wallMs: hub.clock.wallMs() });
    const [finding] = credentialFindings(platform, { stateDir: device.stateDir }, time);
    expect(finding?.severity).toBe('error');
  });
});

test('doctor warns when a renewal is overdue, and when the credential has ended', async () => {
  const device = await bench();
  await device.ask();
  await device.adopt();
  const said = (afterDays: number) => {
    const wallMs = hub.clock.wallMs() + afterDays * 86_400_000;
    const time = viewTime({ floorMs: 0, wallMs });
    return credentialFindings(
      platform,
      { stateDir: device.stateDir },
      { ...time, estimateMs: wallMs },
    ).map(({ severity, message }) => `${severity} ${/ended|ends soon/.exec(message)?.[0] ?? ''}`);
  };
  expect([said(1), said(80), said(91)]).toEqual([
    ['ok '],
    ['warning ends soon'],
    ['warning ended'],
  ]);
});

test('a key made anew, on another machine, takes no credential over', () => {
  const stateDir = mkdtempSync(join(tmpdir(), 'holdfast-clone-'));
  folders.push(stateDir);
  const input = { files: platform.files, keyFiles: systemKeyFiles(), random: systemRandom() };
  const open = (boundTo: string | null) =>
    openIdentity({ ...input, stateDir, configuredId: null, boundTo });
  open(null);
  const credential = join(stateDir, 'identity/hub/credential.pem');
  mkdirSync(join(stateDir, 'identity/hub'));
  writeFileSync(credential, 'x');
  open(null);
  expect(existsSync(credential)).toBe(true);
  const moved = open('another machine');
  expect([moved.ok && moved.value.made, existsSync(credential)]).toEqual(['other-machine', false]);
});
