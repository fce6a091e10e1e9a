/** What people and scripts are shown of a Margo manager's clients. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openMargoClients } from '#hub/margo-clients.ts';
import { listMargoClients } from '#hub/margo-listing.ts';
import { systemFiles } from '#platform/node/files.ts';
import { sha256 } from '#state/digest.ts';
import { granted } from '../../support/margo-world.ts';
import { bytesOf } from '../../support/wire-samples.ts';

let folder: string;
const files = systemFiles();
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-listing-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const said = (id: string) => bytesOf(JSON.stringify({ properties: { id, vendor: 'Works' } }));

test('hub.no-margo: a folder in which nobody was a manager', () => {
  const listed = listMargoClients(files, folder);
  expect(listed.ok ? 'listed' : listed.fault.code).toBe('hub.no-margo');
});

test('rule 58: devices, children and statuses by client; texts of clients carry no controls', () => {
  const clients = granted(openMargoClients(files, `${folder}/margo`));
  const client = granted(clients.of('spiffe://d/margo/wfm/w/client/gw'));
  const content = sha256(bytesOf('x'));
  client?.putView({ version: 7n, content, manifest: content, bundle: null, documents: [] });
  for (const id of ['gw', 'gw/cell']) client?.putCapabilities(id, said(id));
  const status = (deploymentId: string, more: object) =>
    client?.putStatus(
      deploymentId,
      bytesOf(JSON.stringify({ deploymentId, adoptedManifestVersion: 7, components: [], ...more })),
    );
  status('b', { deviceId: 'gw/cell', status: { state: 'installing' } });
  status('a', {
    status: { state: 'failed', error: { code: 'x', message: 'red\u001b[31m\nline' } },
  });
  clients.close();
  const [listed] = granted(listMargoClients(files, folder));
  expect(listed?.manifestVersion).toBe('7');
  expect(listed?.devices.map(({ id, vendor }) => [id, vendor])).toEqual([
    ['gw', 'Works'],
    ['gw/cell', 'Works'],
  ]);
  expect(listed?.deployments).toEqual([
    {
      ...{ id: 'a', device: 'gw', state: 'failed', adoptedManifestVersion: '7' },
      error: 'x: red [31m line',
    },
    { id: 'b', device: 'gw/cell', state: 'installing', adoptedManifestVersion: '7', error: '' },
  ]);
});
