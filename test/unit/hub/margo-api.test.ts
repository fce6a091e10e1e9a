/** The manager's answers when something of its own fails, and what it ignores. */
import { describe, expect, test } from 'bun:test';
import { ok, refuse } from '#errors/fault.ts';
import { type MargoApiInput, margoApi } from '#hub/margo-api.ts';
import type { MargoClients } from '#hub/margo-clients.ts';
import { systemInflate } from '#platform/node/inflate.ts';
import { readMargoCapabilities } from '#wire/margo-capabilities.ts';
import { readMargoManifest } from '#wire/margo-manifest.ts';
import { bytesOf } from '../../support/wire-samples.ts';

const log = { write: () => undefined } as unknown as MargoApiInput['log'];
const clients = (of: MargoClients['of']) => ({ of }) as unknown as MargoClients;

async function asked(of: MargoClients['of']) {
  const handle = margoApi({
    ...{ log, inflate: systemInflate(), clients: clients(of) },
    published: { shared: false, read: () => ok(null) },
    caller: () => ({ name: 'spiffe://d/margo/wfm/w/client/c' }),
    trust: { bundle: () => bytesOf('{}'), discovery: () => '{}' },
  });
  const body = (async function* () {})();
  const { signal } = new AbortController();
  return handle({ method: 'GET', target: '/api/v1/deployments', headers: {}, body, signal });
}

describe('rules 65, 66: what fails at the manager', () => {
  for (const [what, of, status] of [
    ['no room for another client', () => ok(null), 429],
    [
      'a full disk',
      () => refuse('platform.no-space', { operation: 'write', path: 'x', errno: 'ENOSPC' }),
      503,
    ],
    ['a damaged record', () => refuse('hub.record-damaged', { file: 'x' }), 500],
  ] as const) {
    test(`${what}: ${status}, a problem with Retry-After`, async () => {
      const answer = await asked(of);
      expect(answer.status).toBe(status);
      expect(Number(answer.headers?.['retry-after'])).toBeGreaterThan(0);
      expect(answer.headers?.['content-type']).toBe('application/problem+json');
      expect(JSON.parse(`${answer.body}`)).toMatchObject({ type: 'about:blank', status });
    });
  }
});

test('rule 20: unknown extensions and unknown members are ignored', () => {
  const properties = { id: 'd', vendor: 'v', modelNumber: 'm', serialNumber: 's', colour: 'red' };
  const said = { properties, 'x-otherworks-extensions': { a: 1 } };
  expect(readMargoCapabilities(bytesOf(JSON.stringify(said)), 'd').kind).toBe('read');
  const closed = { properties, other: 1 };
  expect(readMargoCapabilities(bytesOf(JSON.stringify(closed)), 'd').kind).toBe('wrong');
  const manifest = '{"manifestVersion":1,"bundle":null,"deployments":[],"moon":1.5}';
  expect(readMargoManifest(bytesOf(manifest)).ok).toBe(true);
});
