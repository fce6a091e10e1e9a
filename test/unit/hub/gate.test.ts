/** The HTTP gate of a hub with TLS: floods of bad requests wait, and nothing goes by it unknown. */
import { afterAll, expect, test } from 'bun:test';
import { accountOf, gateOf } from '#hub/gate.ts';
import type { ServedRequest } from '#platform/listener.ts';
import { hubWorld, testDevice } from '../../support/enrolment-world.ts';

const hub = await hubWorld();
afterAll(() => hub.close());
const gate = gateOf({
  ...{ clock: hub.clock, access: hub.access, enrolment: hub.service },
  registry: async () => ({ status: 200, body: 'the registry' }),
  fleet: { answer: (_, who) => ({ status: 200, body: `the fleet for ${who}` }) },
});

function request(method: string, target: string, body = '', address = '10.0.0.1'): ServedRequest {
  async function* chunks() {
    yield new Uint8Array(Buffer.from(body));
  }
  const peer = { address, certificate: null };
  return {
    method,
    target,
    headers: {},
    body: chunks(),
    peer,
    signal: new AbortController().signal,
  };
}

test('N21: 20 bad requests in a minute from one address, then 429; another address is heard', async () => {
  const post = (address: string) => gate(request('POST', '/v1/enrolment', 'nothing', address));
  for (let tries = 0; tries < 20; tries += 1) expect((await post('10.0.0.1')).status).toBe(400);
  const waits = await post('10.0.0.1');
  expect([waits.status, Number(waits.headers?.['retry-after']) > 0]).toEqual([429, true]);
  expect((await post('10.0.0.2')).status).toBe(400);
  await hub.clock.advance(60_001);
  expect((await post('10.0.0.1')).status).toBe(400);
});

test('N22: a body above 24 KiB is not read on', async () => {
  const large = request('POST', '/v1/enrolment', 'x'.repeat(25_000), '10.0.0.3');
  expect((await gate(large)).status).toBe(413);
});

test('without a credential: a nonce for anybody, the registry and the proof for nobody', async () => {
  const nonce = await gate(request('GET', '/v1/enrolment'));
  expect([nonce.status, (nonce.body as Uint8Array).length]).toEqual([200, 40]);
  for (const path of ['/v2/', '/v2/plant/state/manifests/stable', '/v1/credential', '/', '/v1/x']) {
    const answer = await gate(request('GET', path));
    expect([path, answer.status, answer.headers?.['www-authenticate']]).toEqual([
      ...[path, 401],
      'Basic realm="holdfast"',
    ]);
  }
});

test.each([
  ['Basic cHJlc3MtNzphOmI=', { username: 'press-7', password: 'a:b' }],
  ['basic cHJlc3MtNzphOmI=', { username: 'press-7', password: 'a:b' }],
  ['Basic OnNlY3JldA==', null],
  ['Basic !!', null],
  ['Bearer cHJlc3M=', null],
  [`Basic ${'A'.repeat(1_028)}`, null],
])('Authorization %#', (header, account) => expect(accountOf(header)).toEqual(account));

test('operators read the fleet; a device with its credential does not, nor does nobody', async () => {
  const own = testDevice(hub, 'press-7');
  const answer = await own.enrol({
    ...{ kind: 'token', token: hub.token('press-7'), csr: new Uint8Array() },
  });
  const operator = hub.admin({ do: 'operator', name: 'anna' });
  const secret = 'secret' in operator ? operator.secret : '';
  const as = (name: string, password: string, target: string) => {
    const basic = Buffer.from(`${name}:${password}`).toString('base64');
    return gate({ ...request('GET', target), headers: { authorization: `Basic ${basic}` } });
  };
  for (const target of ['/', '/v1/fleet?limit=5', '/v1/fleet/changes', '/v1/fleet/device?id=x']) {
    expect((await as('press-7', answer.secret, target)).status).toBe(403);
    expect((await as('anna', secret, target)).body).toBe('the fleet for anna');
    expect((await as('anna', 'wrong', target)).status).toBe(401);
  }
});
