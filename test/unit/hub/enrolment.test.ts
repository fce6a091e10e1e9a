/** Who is let in by a hub, by what, for how long, and what is never enough. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isNamed } from '#hub/tokens.ts';
import { fingerprintGroups, fingerprintWords } from '#state/enrolment.ts';
import { PAYLOAD } from '#state/media-types.ts';
import { readEnrolmentToken, writeEnrolmentToken } from '#wire/enrolment.ts';
import {
  codeOf,
  DAY_MS,
  GRACE_MS,
  given,
  type HubWorld,
  hubWorld,
  LIFE_MS,
  shown,
  testDevice,
} from '../../support/enrolment-world.ts';

const hubs: HubWorld[] = [];
async function newHub(): Promise<HubWorld> {
  const hub = await hubWorld();
  hubs.push(hub);
  return hub;
}
let hub: HubWorld;
beforeAll(async () => {
  hub = await newHub();
});
afterAll(() => {
  for (const one of hubs) one.close();
});

describe('N21: a token', () => {
  test('lets one device in, and its credential is that device', async () => {
    const answer = await testDevice(hub, 'press-1').enrol({ token: hub.token('press-*') });
    expect(answer.notAfter - answer.issuedAt).toBe(LIFE_MS);
    expect(hub.access.identify(...shown(answer))).toMatchObject({ kind: 'device', id: 'press-1' });
  });

  test('lets no second one in: enroll.refused', async () => {
    const token = hub.token('*');
    await testDevice(hub, 'press-2').enrol({ token });
    expect(codeOf(await testDevice(hub, 'press-3').ask({ token }))).toBe('enroll.refused');
  });

  test('gives the same key the same certificate again while its answer may be lost', async () => {
    const device = testDevice(hub, 'press-4');
    const token = hub.token('press-4');
    const first = await device.enrol({ token });
    expect((await device.enrol({ token })).certificate).toBe(first.certificate);
    hub.access.identify(...shown(first));
    expect(codeOf(await device.ask({ token }))).toBe('enroll.refused');
  });

  test('that has ended, or is for another device or label, lets nobody in', async () => {
    const late = hub.token('*', { lifeMs: 60_000 });
    const labelled = hub.token('*', { labels: { site: 'a' } });
    const device = testDevice(hub, 'press-5');
    expect(codeOf(await device.ask({ token: hub.token('pump-*') }))).toBe('enroll.refused');
    expect(codeOf(await device.ask({ token: labelled }))).toBe('enroll.refused');
    expect(codeOf(await device.ask({ token: labelled, labels: { site: 'a' } }))).toBe('ok');
    await hub.clock.advance(61_000);
    expect(codeOf(await testDevice(hub, 'press-6').ask({ token: late }))).toBe('enroll.refused');
  });

  test('with another secret is as unknown as one that never was', async () => {
    const read = given(readEnrolmentToken(hub.token('*')));
    const guess = writeEnrolmentToken({ ...read, secret: new Uint8Array(24) });
    const never = writeEnrolmentToken({ ...read, id: new Uint8Array(8) });
    const device = testDevice(hub, 'press-8');
    const [wrong, unknown] = [
      await device.ask({ token: guess }),
      await device.ask({ token: never }),
    ];
    expect(codeOf(wrong)).toBe('enroll.refused');
    expect(unknown).toEqual(wrong);
  });

  test('is kept as a digest: no record holds its secret', async () => {
    const text = hub.token('press-secret');
    const { id, secret } = given(readEnrolmentToken(text));
    const file = join(hub.folder, 'enrolment/tokens', `${Buffer.from(id).toString('hex')}.json`);
    const kept = readFileSync(file, 'utf8');
    for (const form of ['hex', 'base64', 'base64url'] as const) {
      expect(kept).not.toContain(Buffer.from(secret).toString(form));
    }
  });

  test('is void when it is revoked', async () => {
    const token = hub.token('*');
    const { id } = given(readEnrolmentToken(token));
    hub.admin({ do: 'revoke', who: Buffer.from(id).toString('hex') });
    expect(codeOf(await testDevice(hub, 'press-9').ask({ token }))).toBe('enroll.refused');
  });

  test.each([
    ['press-7', 'press-7', true],
    ['press-7', 'press-77', false],
    ['press-*', 'press-', true],
    ['*-7', 'press-7', true],
    ['p*s*7', 'press-7', true],
    ['p*7', 'p7', true],
    ['ab*ba', 'aba', false],
    ['*', 'anything', true],
  ])('for %s: %s is named: %p', (pattern, id, named) => expect(isNamed(pattern, id)).toBe(named));
});

describe('approval', () => {
  test('a device waits until an operator names its fingerprint', async () => {
    const device = testDevice(hub, 'mill-1');
    expect(given(await device.ask()).kind).toBe('pending');
    expect(given(await device.ask()).kind).toBe('pending');
    hub.admin({ do: 'approve', who: fingerprintGroups(device.key), replace: false });
    expect((await device.enrol()).deviceId).toBe('mill-1');
  });

  test('words and the id do as well; one that is nobody’s is hub.no-record', async () => {
    const [one, two] = [testDevice(hub, 'mill-2'), testDevice(hub, 'mill-3')];
    await one.ask();
    await two.ask();
    hub.admin({ do: 'approve', who: fingerprintWords(one.key), replace: false });
    hub.admin({ do: 'approve', who: 'mill-3', replace: false });
    const unknown = hub.tryAdmin({ do: 'approve', who: 'mill-77', replace: false });
    expect(codeOf(unknown)).toBe('hub.no-record');
    await Promise.all([one.enrol(), two.enrol()]);
  });

  test('who asked under one name is not let in under another', async () => {
    const device = testDevice(hub, 'mill-4');
    await device.ask();
    hub.admin({ do: 'approve', who: 'mill-4', replace: false });
    expect(codeOf(await device.ask({ deviceId: 'mill-5' }))).toBe('enroll.id-taken');
  });

  test('N21: a name that has a key is given to another only where the operator says so', async () => {
    const [first, second] = [testDevice(hub, 'mill-6'), testDevice(hub, 'mill-6')];
    const held = await first.enrol({ token: hub.token('mill-6') });
    const token = hub.token('mill-6');
    expect(codeOf(await second.ask({ token }))).toBe('enroll.id-taken');
    await second.ask();
    const who = fingerprintGroups(second.key);
    const not = hub.tryAdmin({ do: 'approve', who, replace: false });
    expect(codeOf(not)).toBe('enroll.id-taken');
    hub.admin({ do: 'approve', who, replace: true });
    await second.enrol();
    expect(hub.access.identify(...shown(held))).toBeNull();
  });

  test('denied stays denied: enroll.denied, until a token or the operator lets it in', async () => {
    const device = testDevice(hub, 'mill-7');
    await device.ask();
    hub.admin({ do: 'deny', who: 'mill-7' });
    expect(codeOf(await device.ask())).toBe('enroll.denied');
    await device.enrol({ token: hub.token('mill-7') });
  });

  test('256 wait, the next is told so: hub.enrolment-full; after a week it takes a stale place', async () => {
    const crowded = await newHub();
    for (let number = 0; number < 256; number += 1) {
      expect(codeOf(await testDevice(crowded, `w-${number}`).ask())).toBe('ok');
    }
    const next = testDevice(crowded, 'one-more');
    expect(codeOf(await next.ask())).toBe('hub.enrolment-full');
    await crowded.clock.advance(8 * DAY_MS);
    expect(codeOf(await next.ask())).toBe('ok');
  }, 30_000);
});

describe('N22: a request is refused (enroll.request)', () => {
  const reasons: readonly (readonly [string, (token: string) => Promise<Uint8Array>])[] = [
    [
      'for another hub',
      async () => {
        const other = await newHub();
        const device = testDevice(hub);
        return device.message(device.request({ hub: other.authority.digest }));
      },
    ],
    [
      'with a nonce of its own',
      async () => {
        const device = testDevice(hub);
        return device.message(device.request({ nonce: new Uint8Array(40).fill(1) }));
      },
    ],
    [
      'signed by another key than it names',
      async () => {
        const device = testDevice(hub);
        return device.message(device.request({ deviceKey: testDevice(hub).key }));
      },
    ],
    [
      'signed as something else (check 6)',
      async () => {
        const device = testDevice(hub);
        return device.message(device.request(), PAYLOAD.status);
      },
    ],
    [
      'with a byte changed',
      async () => {
        const device = testDevice(hub);
        const bytes = await device.message(device.request());
        bytes[80] = (bytes[80] ?? 0) ^ 1;
        return bytes;
      },
    ],
    ['that is nothing', async () => new Uint8Array()],
    ['of a megabyte', async () => new Uint8Array(1024 * 1024)],
    [
      'whose certificate request is damaged',
      async (token) => {
        const device = testDevice(hub, 'csr-1');
        return device.message(device.request({ csr: new Uint8Array(200), token }));
      },
    ],
  ];
  for (const [what, make] of reasons) {
    test(what, async () => {
      const bytes = await make(hub.token('csr-1'));
      const asked = await hub.service.ask(bytes, { address: '', deviceId: null });
      expect(codeOf(asked)).toBe('enroll.request');
    });
  }

  test('that was sent before', async () => {
    const device = testDevice(hub, 'again-1');
    const bytes = await device.message(device.request({ token: hub.token('again-1') }));
    const ask = () => hub.service.ask(bytes, { address: '', deviceId: null });
    expect([codeOf(await ask()), codeOf(await ask())]).toEqual(['ok', 'enroll.request']);
  });

  test('with a nonce of five minutes ago, or of before a restart', async () => {
    const device = testDevice(hub, 'slow-1');
    const bytes = await device.message(device.request());
    await hub.clock.advance(301_000);
    expect(codeOf(await hub.service.ask(bytes, { address: '', deviceId: null }))).toBe(
      'enroll.request',
    );
  });
});

describe('renewal', () => {
  test('over the present credential: both count until the new one is used, then a day longer', async () => {
    const device = testDevice(hub, 'pump-1');
    const old = await device.enrol({ token: hub.token('pump-1') });
    hub.access.identify(...shown(old));
    const csr = { csr: device.request().csr };
    const next = await device.enrol({ purpose: 'renew', ...csr }, 'pump-1');
    expect(next.certificate).not.toBe(old.certificate);
    expect(hub.access.identify(...shown(old))).not.toBeNull();
    await hub.clock.advance(2 * DAY_MS);
    expect(hub.access.identify(...shown(old))).not.toBeNull();
    expect(hub.access.identify(...shown(next))).not.toBeNull();
    expect(hub.access.identify(...shown(old))).not.toBeNull();
    await hub.clock.advance(DAY_MS + 1);
    expect(hub.access.identify(...shown(old))).toBeNull();
    expect(hub.access.identify(...shown(next))).not.toBeNull();
  });

  test('by the device key alone while the hub allows, then enroll.expired', async () => {
    const device = testDevice(hub, 'pump-2');
    const old = await device.enrol({ token: hub.token('pump-2') });
    hub.access.identify(...shown(old));
    await hub.clock.advance(LIFE_MS + DAY_MS);
    expect(hub.access.identify(...shown(old))).toBeNull();
    const next = await device.enrol({ purpose: 'renew' });
    hub.access.identify(...shown(next));
    await hub.clock.advance(LIFE_MS + GRACE_MS + DAY_MS);
    expect(codeOf(await device.ask({ purpose: 'renew' }))).toBe('enroll.expired');
  });

  test('of a device that is unknown, revoked, or shows another one’s credential', async () => {
    const device = testDevice(hub, 'pump-3');
    expect(codeOf(await device.ask({ purpose: 'renew' }))).toBe('enroll.refused');
    await device.enrol({ token: hub.token('pump-3') });
    expect(codeOf(await device.ask({ purpose: 'renew' }, 'pump-4'))).toBe('enroll.request');
    hub.admin({ do: 'revoke', who: 'pump-3' });
    expect(codeOf(await device.ask({ purpose: 'renew' }))).toBe('enroll.denied');
  });

  test('a hundred times without use keeps one unproven credential', async () => {
    const device = testDevice(hub, 'pump-5');
    const first = await device.enrol({
      token: hub.token('pump-5'),
      kind: 'token',
      csr: new Uint8Array(),
    });
    hub.access.identify(...shown(first));
    const again = { purpose: 'renew', kind: 'token', csr: new Uint8Array() } as const;
    for (let times = 0; times < 100; times += 1) await device.enrol(again, 'pump-5');
    expect(hub.store.deviceNamed('pump-5')?.credentials.length).toBe(2);
    expect(hub.access.identify(...shown(first))).not.toBeNull();
  });
});

describe('N24: what is revoked', () => {
  test('opens nothing from then on, whatever was issued; the spent token does not help', async () => {
    const device = testDevice(hub, 'lathe-1');
    const token = hub.token('lathe-1');
    const answer = await device.enrol({ token });
    expect(hub.access.identify(...shown(answer))).not.toBeNull();
    hub.admin({ do: 'revoke', who: 'lathe-1' });
    expect(hub.revoked).toContain('lathe-1');
    expect(hub.access.identify(...shown(answer))).toBeNull();
    expect(codeOf(await device.ask({ token }))).toBe('enroll.refused');
    expect(codeOf(await device.ask())).toBe('enroll.denied');
  });

  test('stays so after a restart, and what was let in stays in', async () => {
    const first = await newHub();
    const [gone, kept] = [testDevice(first, 'r-1'), testDevice(first, 'r-2')];
    const lost = await gone.enrol({ token: first.token('r-1') });
    const held = await kept.enrol({ token: first.token('r-2') });
    first.admin({ do: 'revoke', who: 'r-1' });
    const again = await first.again();
    expect(again.authority.digest).toBe(first.authority.digest);
    expect(again.access.identify(...shown(lost))).toBeNull();
    expect(again.access.identify(...shown(held))).toMatchObject({ id: 'r-2' });
    again.store.close();
  });

  test('a damaged record stops the hub at its start (hub.record-damaged), a torn new one does not', async () => {
    const first = await newHub();
    await testDevice(first, 'd-1').enrol({ token: first.token('d-1') });
    const folder = join(first.folder, 'enrolment/devices');
    const [name = ''] = readdirSync(folder);
    writeFileSync(join(folder, `${name}.new`), '{"keyid":');
    const torn = await first.again();
    torn.store.close();
    writeFileSync(join(folder, name), '{"keyid":');
    const { openEnrolmentStore } = await import('#hub/enrolment-store.ts');
    const { systemFiles } = await import('#platform/node/files.ts');
    expect(codeOf(openEnrolmentStore(systemFiles(), first.folder))).toBe('hub.record-damaged');
  });
});

describe('accounts', () => {
  const at = (username: string, password: string, address = '10.1.1.1') =>
    hub.access.identify({ address, certificate: null }, { username, password });

  test('a token credential is its device’s: not under another name, not as an operator', async () => {
    const more = { kind: 'token', csr: new Uint8Array() } as const;
    const answer = await testDevice(hub, 'saw-1').enrol({ token: hub.token('saw-1'), ...more });
    expect(at('saw-1', answer.secret)).toMatchObject({ kind: 'device', id: 'saw-1' });
    expect(at('saw-2', answer.secret)).toBeNull();
  });

  test('an operator is known by the secret that was printed once', () => {
    const made = hub.admin({ do: 'operator', name: 'anna' });
    const secret = 'secret' in made ? made.secret : '';
    expect(at('anna', secret)).toEqual({ kind: 'operator', name: 'anna' });
    expect(at('anna', `${secret}x`)).toBeNull();
    hub.admin({ do: 'revoke', who: 'operator/anna' });
    expect(at('anna', secret)).toBeNull();
  });

  test('after 20 failures in a minute an address waits; others do not, nor do certificates', async () => {
    const made = hub.admin({ do: 'operator', name: 'bert' });
    const secret = 'secret' in made ? made.secret : '';
    for (let tries = 0; tries < 20; tries += 1) at('bert', 'guess', '10.9.9.9');
    expect(at('bert', secret, '10.9.9.9')).toBeNull();
    expect(hub.access.waitMs('10.9.9.9')).toBeGreaterThan(0);
    expect(at('bert', secret, '10.9.9.8')).not.toBeNull();
    await hub.clock.advance(60_001);
    expect(at('bert', secret, '10.9.9.9')).not.toBeNull();
  });
});
