/**
 * What a Margo manager knows of its clients, for people and scripts: the devices that each has told of
 * (a gateway's children among them) and the newest status of each deployment. Read from the hub's folder,
 * whose files are replaced whole, so beside a running hub as well as without one. Texts of clients are
 * cut and free of controls; nothing of theirs is judged here.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Files } from '#platform/files.ts';
import type { Json, JsonObject } from '#wire/strict-json.ts';
import { isJsonObject } from '#wire/strict-json.ts';
import { openMargoClients } from './margo-clients.ts';

export interface MargoClientListing {
  /** SPIFFE ID, or `urn:margo:client:ID` in the older dialects */
  readonly client: string;
  /** of the manifest it was given last, digits; empty: none yet */
  readonly manifestVersion: string;
  readonly devices: readonly MargoDeviceListing[];
  readonly deployments: readonly MargoDeploymentListing[];
}

export interface MargoDeviceListing {
  readonly id: string;
  readonly vendor: string;
  readonly modelNumber: string;
  readonly serialNumber: string;
}

export interface MargoDeploymentListing {
  readonly id: string;
  /** full id; of a child: GATEWAY/CHILD; empty: the client told of no device, or of several */
  readonly device: string;
  readonly state: string;
  /** digits; empty: the dialect has none */
  readonly adoptedManifestVersion: string;
  /** `code: message`; empty: none */
  readonly error: string;
}

const TEXT_MAX = 500;

/** @param folder  of the hub; `hub.no-margo` where it has been no Margo manager */
export function listMargoClients(
  files: Files,
  folder: string,
): Result<readonly MargoClientListing[]> {
  const there = files.open(`${folder}/margo/clients`, { follow: true });
  if (!there.ok) return refuse('hub.no-margo', { folder });
  there.value.close();
  const clients = openMargoClients(files, `${folder}/margo`);
  if (!clients.ok) return clients;
  const listed: MargoClientListing[] = [];
  for (const name of [...clients.value.names()].sort()) {
    const client = clients.value.of(name);
    if (!client.ok || !client.value) continue;
    const { value } = client;
    const own = value.devices().filter((id) => !id.includes('/'));
    listed.push({
      client: plain(name),
      manifestVersion: `${value.views()[0]?.version ?? ''}`,
      devices: value.devices().map((id) => deviceOf(id, value.capabilities(id))),
      deployments: [...value.statuses()]
        .map(([id, status]) => deploymentOf(id, status, own.length === 1 ? (own[0] ?? '') : ''))
        .sort((a, b) => (a.id < b.id ? -1 : 1)),
    });
  }
  clients.value.close();
  return ok(listed);
}

function deviceOf(id: string, capabilities: JsonObject | null): MargoDeviceListing {
  const said = capabilities?.properties;
  const of = isJsonObject(said) ? said : {};
  return {
    id: plain(id),
    vendor: plain(of.vendor),
    modelNumber: plain(of.modelNumber),
    serialNumber: plain(of.serialNumber),
  };
}

function deploymentOf(id: string, body: JsonObject, own: string): MargoDeploymentListing {
  const status = isJsonObject(body.status) ? body.status : {};
  const why = isJsonObject(status.error) ? status.error : {};
  const error = [why.code, why.message].map(plain).filter((text) => text !== '');
  return {
    id: plain(id),
    device: plain(body.deviceId) || own,
    state: plain(status.state),
    adoptedManifestVersion: plain(body.adoptedManifestVersion),
    error: error.join(': '),
  };
}

/** What a client wrote ends up on a terminal. */
function plain(value: Json | undefined): string {
  if (typeof value === 'number' || typeof value === 'bigint') return `${value}`;
  if (typeof value !== 'string') return '';
  return value.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, ' ').slice(0, TEXT_MAX);
}
