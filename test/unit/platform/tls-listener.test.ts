/** A TLS listener whose clients may show a certificate: who is seen, who is not, what is left behind. */
import { afterAll, expect, test } from 'bun:test';
import { connect } from 'node:tls';
import { systemListener } from '#platform/node/listener.ts';
import { systemX509 } from '#platform/node/x509.ts';

const x509 = systemX509();
const now = Date.now();
const validity = { notBefore: now - 86_400_000, notAfter: now + 86_400_000 };
const [authority, foreign] = await Promise.all([
  x509.makeAuthority({ name: 'ours', ...validity }),
  x509.makeAuthority({ name: 'theirs', ...validity }),
]);
const server = await x509.issueServer(authority, { ...validity, names: ['127.0.0.1'] });
if (!server.ok) throw new Error(server.fault.message);
const listening = await systemListener().listen(
  {
    ...{ kind: 'tcp', host: '127.0.0.1', port: 0 },
    tls: {
      cert: server.value.certificate,
      key: server.value.key,
      ca: authority.certificate,
      clients: 'optional',
    },
  },
  async ({ peer, body }) => {
    let bytes = 0;
    for await (const chunk of body) bytes += chunk.length;
    const text = `${peer?.certificate ? 'known' : 'nobody'} ${peer?.address} ${bytes}`;
    return { status: 200, body: text };
  },
);
if (!listening.ok) throw new Error(listening.fault.message);
const { port } = listening.value;
afterAll(() => listening.value.close());

async function ask(by: typeof authority | null, of: { notAfter: number } = validity) {
  const { keyPem, csr } = x509.makeRequest('a');
  const issued = by ? await x509.issueClient(by, { ...validity, ...of, name: 'a', csr }) : null;
  if (issued && !issued.ok) throw new Error(issued.fault.message);
  const tls = { ca: authority.certificate, ...(issued ? { cert: issued.value, key: keyPem } : {}) };
  const body = new Uint8Array(3_000_000);
  const answer = await fetch(`https://127.0.0.1:${port}/`, { method: 'POST', body, tls });
  return answer.text();
}

test('a certificate of the authority is seen by the handler', async () => {
  expect(await ask(authority)).toBe('known 127.0.0.1 3000000');
});

test('none, one of another authority, and one that has ended count as none', async () => {
  expect(await ask(null)).toBe('nobody 127.0.0.1 3000000');
  expect(await ask(foreign)).toBe('nobody 127.0.0.1 3000000');
  expect(await ask(authority, { notAfter: now - 1_000 })).toBe('nobody 127.0.0.1 3000000');
});

test('a server certificate is nobody’s as a client', async () => {
  const { certificate, key } = server.value;
  const tls = { ca: authority.certificate, cert: certificate, key };
  const answer = await fetch(`https://127.0.0.1:${port}/`, { method: 'POST', tls });
  expect(await answer.text()).toBe('nobody 127.0.0.1 0');
});

test('closing ends what is connected', async () => {
  const own = await systemListener().listen(
    {
      ...{ kind: 'tcp', host: '127.0.0.1', port: 0 },
      tls: {
        ...{ cert: server.value.certificate, key: server.value.key, clients: 'optional' },
        ca: authority.certificate,
      },
    },
    async () => ({ status: 200 }),
  );
  if (!own.ok) throw new Error(own.fault.message);
  const socket = connect({ port: own.value.port, host: '127.0.0.1', ca: authority.certificate });
  await new Promise((ready) => socket.once('secureConnect', ready));
  const gone = new Promise((resolve) => socket.once('close', resolve));
  socket.on('error', () => undefined).resume();
  await own.value.close();
  await gone;
});
