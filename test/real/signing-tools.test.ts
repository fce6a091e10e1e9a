/**
 * docs/signing.md, run: every command of it with the real tools, from key to verified state. And the
 * other way round: the tools themselves accept what an envelope keeps.
 */
import { afterAll, describe, expect, test } from 'bun:test';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Envelope } from '#state/envelope.ts';
import { pae } from '#trust/dsse.ts';
import { readEnvelope } from '#wire/envelope.ts';
import { output, run } from '../support/command.ts';
import { program, ROOT } from '../support/parts.ts';
import { MESSAGE, minisigBy, SK, sshsigBy } from '../unit/trust/foreign.ts';
import { newKey } from '../unit/trust/world.ts';

const folder = mkdtempSync(join(tmpdir(), 'holdfast-signing-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** `holdfast` from source, so that this tests the sources whatever was built last. */
const bin = join(folder, 'bin');
mkdirSync(bin);
writeFileSync(
  join(bin, 'holdfast'),
  `#!/bin/sh\nexec '${process.execPath}' '${ROOT}/src/main.ts' "$@"\n`,
);
chmodSync(join(bin, 'holdfast'), 0o755);

/** The `sh` blocks of the page by the heading they stand under. */
const sections = new Map<string, readonly string[]>();
for (const section of readFileSync(join(ROOT, 'docs/signing.md'), 'utf8').split(/^## /m)) {
  const blocks = [...section.matchAll(/^```sh\n(.*?)^```$/gms)].map((match) => match[1] ?? '');
  sections.set(section.slice(0, section.indexOf('\n')), blocks);
}
const steps = sections.get('The steps') ?? [];

const SOFTHSM = ['/usr/lib/softhsm/libsofthsm2.so'].find(existsSync) ?? null;
/** heading → the programs that it needs, beside openssl */
const TOOLS: readonly (readonly [heading: string, programs: readonly string[]])[] = [
  ['openssl, Ed25519', ['openssl']],
  ['openssl, P-256', ['openssl']],
  ['ssh-keygen', ['ssh-keygen']],
  ['minisign', ['minisign']],
  ['minisign, old form', ['minisign']],
  ['signify', ['signify-openbsd']],
  ['A PKCS#11 token', ['openssl', 'pkcs11-tool', 'softhsm2-util']],
];

interface Place {
  readonly at: (path: string) => string;
  shell(script: string): Promise<string>;
}

function place(name: string): Place {
  const cwd = join(folder, name.replaceAll(/[^a-zA-Z0-9]+/g, '-'));
  mkdirSync(join(cwd, 'tokens'), { recursive: true });
  writeFileSync(join(cwd, 'hsm.conf'), `directories.tokendir = ${cwd}/tokens\n`);
  const env = {
    PATH: `${bin}:${process.env.PATH ?? ''}`,
    HOME: cwd,
    SOFTHSM2_CONF: join(cwd, 'hsm.conf'),
    MODULE: SOFTHSM ?? '',
    PIN: '1234',
  };
  return {
    at: (path) => join(cwd, path),
    shell: (script) => output(['sh', '-eu', '-c', script], { cwd, env }),
  };
}

/** Everything of the page up to the signed state, by one tool. */
async function signedBy(heading: string): Promise<Place> {
  const here = place(heading);
  const [makeKey = '', sign = ''] = sections.get(heading) ?? [];
  const [init = '', prepare = '', attach = ''] = steps;
  if (heading.startsWith('A PKCS#11')) {
    await here.shell('softhsm2-util --init-token --free --label plant --pin 1234 --so-pin 5678');
  }
  for (const script of [makeKey, init, prepare, sign, attach]) await here.shell(script);
  return here;
}

describe('docs/signing.md', () => {
  test('has two blocks for each tool and three steps', () => {
    const counts = TOOLS.map(([heading]) => sections.get(heading)?.length);
    expect([steps.length, ...counts]).toEqual([3, ...TOOLS.map(() => 2)]);
    const others = [...sections].filter(([, blocks]) => blocks.length > 0).map(([name]) => name);
    expect(others.sort()).toEqual(['The steps', ...TOOLS.map(([heading]) => heading)].sort());
  });
  for (const [heading, programs] of TOOLS) {
    const missing = programs.filter((name) => program(name) === null);
    if (missing.length > 0) {
      test.skip(`${heading}: ${missing.join(', ')} is not here`, () => {});
      continue;
    }
    test(`${heading}: from a new key to a verified state`, async () => {
      const here = await signedBy(heading);
      expect(existsSync(here.at('plant/signed/stable/1-1/index.json'))).toBe(true);
      expect(existsSync(here.at('plant/signed/stable/1-1.waiting'))).toBe(false);
      const verified = await here.shell(
        'holdfast verify oci:plant/signed/stable/1-1 --fleet plant -o name',
      );
      expect(verified).toBe('stable/1.1 verified\n');
    });
  }
});

describe('the tools accept what is kept', () => {
  if (program('minisign')) {
    test('minisign verifies the bytes in the envelope against PAE', async () => {
      const here = place('kept-by-minisign');
      const [makeKey = '', sign = ''] = sections.get('minisign') ?? [];
      for (const script of [makeKey, steps[0] ?? '', steps[1] ?? '', sign, steps[2] ?? '']) {
        await here.shell(script);
      }
      const { payloadType, payload, signatures } = await envelopeIn(here);
      writeFileSync(here.at('kept.minisig'), signatures[0]?.sig ?? '');
      writeFileSync(here.at('kept.pae'), pae(payloadType, payload));
      const told = await here.shell('minisign -V -H -p ops.pub -m kept.pae -x kept.minisig');
      expect(told).toContain('verified');
    });
    test('minisign verifies what these tests make, so the tests bend the real form', async () => {
      const here = place('made-for-minisign');
      const key = newKey();
      const blob = Buffer.concat([Buffer.from('Ed'), Buffer.alloc(8, 1), key.spki.slice(-32)]);
      writeFileSync(here.at('m'), MESSAGE);
      writeFileSync(here.at('s'), minisigBy(key));
      const verify = `minisign -V -m m -x s -P ${blob.toString('base64')}`;
      expect(await here.shell(verify)).toContain('verified');
      writeFileSync(here.at('s'), minisigBy(key, { signedComment: 'another' }));
      expect((await run(['sh', '-c', verify], { cwd: here.at('.') })).code).not.toBe(0);
    });
  } else test.skip('minisign is not here', () => {});

  if (program('ssh-keygen')) {
    const armoured = (blob: Uint8Array) =>
      `-----BEGIN SSH SIGNATURE-----\n${Buffer.from(blob).toString('base64').replaceAll(/.{70}/g, '$&\n')}\n-----END SSH SIGNATURE-----\n`;
    for (const type of ['ssh-ed25519', SK] as const) {
      test(`ssh-keygen verifies what these tests make: ${type}`, async () => {
        const here = place(`made-for-${type}`);
        const key = newKey();
        const parts = [type, key.spki.slice(-32), ...(type === SK ? ['ssh:'] : [])];
        const blob = Buffer.concat(parts.map(counted)).toString('base64');
        writeFileSync(here.at('signers'), `ops ${type} ${blob}\n`);
        writeFileSync(here.at('m'), MESSAGE);
        const verify = 'ssh-keygen -Y verify -f signers -I ops -n holdfast.state.v1 -s s < m';
        writeFileSync(here.at('s'), armoured(sshsigBy(key, { type })));
        expect(await here.shell(verify)).toContain('Good');
        const bent = sshsigBy(key, { type, namespace: 'git' });
        writeFileSync(here.at('s'), armoured(bent));
        expect((await run(['sh', '-c', verify], { cwd: here.at('.') })).code).not.toBe(0);
      });
    }
  } else test.skip('ssh-keygen is not here', () => {});
});

test('S18: ssh-keygen with the namespace of git is refused, and the state goes on waiting', async () => {
  if (!program('ssh-keygen')) return;
  const here = place('ssh-git');
  const [makeKey = '', sign = ''] = sections.get('ssh-keygen') ?? [];
  for (const script of [makeKey, steps[0] ?? '', steps[1] ?? '']) await here.shell(script);
  await here.shell(sign.replace('holdfast.state.v1', 'git'));
  const refused = await here.shell(`${(steps[2] ?? '').trim()} 2>&1 || echo "ended with $?"`);
  expect(refused).toContain('publish.signature-refused');
  expect(refused).toContain('namespace "git"');
  expect(refused).toContain('ended with 2');
  expect(existsSync(here.at('plant/signed/stable/1-1.waiting'))).toBe(true);
});

test('pae refuses a terminal, and a private key is no signer', async () => {
  if (!program('script') || !program('openssl')) return;
  const here = place('terminal');
  await here.shell(sections.get('openssl, Ed25519')?.[0] ?? '');
  const named = await here.shell(
    `${(steps[0] ?? '').trim().replace('ops.pub', 'ops.pem')} 2>&1 || echo "ended with $?"`,
  );
  expect(named).toContain('format.public-key');
  await here.shell(`rm -rf plant && ${steps[0]}`);
  await here.shell('holdfast sign --fleet plant');
  const told = await here.shell(
    'script -qec "holdfast pae plant/signed/stable/1-1.waiting" /dev/null || echo "ended with $?"',
  );
  expect(told).toContain('publish.option: --out');
  expect(told).not.toContain('DSSEv1');
  expect(told).toContain('ended with 2');
});

async function envelopeIn(here: Place): Promise<Envelope> {
  const files = await here.shell('ls -d plant/signed/stable/1-1/blobs/sha256/*');
  for (const file of files.trim().split('\n')) {
    const envelope = readEnvelope(new Uint8Array(readFileSync(here.at(file))));
    if (envelope.ok) return envelope.value;
  }
  throw new Error('no envelope there');
}

function counted(value: string | Uint8Array): Buffer {
  const body = Buffer.from(value);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(body.length);
  return Buffer.concat([length, body]);
}
