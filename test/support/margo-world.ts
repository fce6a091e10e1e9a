/**
 * A plant with a Margo manager: X.509-SVIDs of one trust domain made by openssl, a fleet folder, and the
 * hub of the source with its manager in this process, on free ports.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { Result } from '#errors/fault.ts';
import { type Hub, startHub } from '#hub/hub.ts';
import { startMargo } from '#hub/margo.ts';
import type { MargoDialects } from '#hub/margo-dialects.ts';
import type { Listening } from '#platform/listener.ts';
import { sha256 } from '#state/digest.ts';
import { type CertificateFiles, makeCa, makeLeaf } from './certificates.ts';
import { type Desk, openDesk } from './desk.ts';
import { freePort } from './free-port.ts';
import { type MargoTraffic, margoTraffic } from './margo-traffic.ts';

export const DOMAIN = 'plant-a.example';
export const WFM = `spiffe://${DOMAIN}/margo/wfm/w1`;

const LEAF = ['basicConstraints=critical,CA:FALSE', 'keyUsage=critical,digitalSignature'];

/** An SVID of the trust domain of `ca`, for both sides of TLS. */
export function makeSvid(
  folder: string,
  name: string,
  ca: CertificateFiles,
  uri: string,
): CertificateFiles {
  const usage = 'extendedKeyUsage=serverAuth,clientAuth';
  return makeLeaf(folder, name, ca, [...LEAF, usage, `subjectAltName=URI:${uri}`]);
}

/** A JWK set with these anchors, PEM files. */
export function writeTrustBundle(path: string, anchors: readonly string[], sequence = 1): void {
  const keys = anchors.map((file) => {
    const body = readFileSync(file, 'utf8').replace(/-----[^-]+-----|\s/g, '');
    return { kty: 'EC', use: 'x509-svid', x5c: [body] };
  });
  writeFileSync(path, JSON.stringify({ spiffe_sequence: sequence, keys }));
}

export interface MargoWorld {
  readonly desk: Desk;
  readonly fleet: string;
  readonly data: string;
  /** of the fleet folder's repository in the hub's registry */
  readonly registry: string;
  readonly mqtt: string;
  readonly root: string;
  readonly ca: CertificateFiles;
  readonly bundle: string;
  /** https://127.0.0.1:PORT, the same after a restart */
  readonly url: string;
  readonly hub: Hub;
  /** what the manager answered, and what agents asked it */
  readonly traffic: MargoTraffic;
  svid(name: string, uri?: string): CertificateFiles;
  /** channels/CHANNEL/ID.yaml and the files it names */
  write(path: string, text: string): void;
  /** @param how  default: nobody is nudged */
  publish(how?: readonly string[]): Promise<{ readonly stateDigest: string }>;
  restart(): Promise<void>;
  remove(): Promise<void>;
}

/**
 * @param asked  tests ask what no agent would: then only the answers are judged
 * @param channel  that is published and served
 */
export async function margoWorld(
  clients: string | null = null,
  asked: 'by agents' | 'by tests' = 'by agents',
  spoken: MargoDialects = {},
  channel = 'stable',
): Promise<MargoWorld> {
  const desk = openDesk();
  const traffic = margoTraffic();
  const { folder, platform } = desk;
  const pki = join(folder, 'pki');
  mkdirSync(pki);
  const ca = makeCa(pki, 'anchor');
  // The older dialects compare names of DNS as everybody does.
  const manager = makeSvid(pki, 'wfm', ca, `${WFM},IP:127.0.0.1,DNS:localhost`);
  const bundle = join(pki, 'bundle.json');
  writeTrustBundle(bundle, [ca.cert]);
  const [registryPort, margoPort, mqttPort] = [
    await freePort(),
    await freePort(),
    await freePort(),
  ];
  const registry = `http://127.0.0.1:${registryPort}/plant/state`;
  const mqtt = `mqtt://127.0.0.1:${mqttPort}`;
  const flags = ['--demo', '--no-passphrase', '--no-examples', '--channel', channel];
  await desk.json(['init', 'plant', ...flags, '--registry', registry, '--mqtt', mqtt]);
  const fleet = join(folder, 'plant');
  const root = join(fleet, 'root/1.root.json');
  const data = join(folder, 'hub');
  const start = async (): Promise<{ readonly hub: Hub; readonly margo: Listening }> => {
    const hub = granted(
      await startHub(platform, {
        ...{ folder: data, host: '127.0.0.1', registryPort, mqttPort, insecure: false },
      }),
    );
    const listener = traffic.listener(platform.listener, { ours: asked === 'by agents' });
    const judged = { ...platform, listener };
    const parts = { platform: judged, disk: hub.content, folder: data, host: '127.0.0.1' };
    const margo = granted(
      await startMargo(parts, {
        ...{ port: margoPort, url: null, cert: manager.cert, key: manager.key, bundle, clients },
        ...spoken,
        ...{ repository: 'plant/state', channel, root: readFileSync(root) },
      }),
    );
    return { hub, margo };
  };
  let running = await start();
  const stop = async (): Promise<void> => {
    await running.margo.close();
    await running.hub.close();
  };
  return {
    ...{
      desk,
      fleet,
      data,
      registry,
      mqtt,
      root,
      ca,
      bundle,
      traffic,
      url: `https://127.0.0.1:${margoPort}`,
    },
    get hub() {
      return running.hub;
    },
    svid: (name, uri = `${WFM}/client/${name}`) => makeSvid(pki, name, ca, uri),
    write(path, text) {
      const file = join(fleet, 'channels', channel, path);
      mkdirSync(join(file, '..'), { recursive: true });
      writeFileSync(file, text);
    },
    publish: (how = ['--no-nudge']) =>
      desk.json(['publish', channel, '--fleet', fleet, '-y', '--allow-removal', ...how]),
    async restart() {
      await stop();
      running = await start();
    },
    async remove() {
      await stop();
      desk.remove();
    },
  };
}

export function granted<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`${result.fault.code}: ${result.fault.message}`);
  return result.value;
}

/** A Margo document of our own `files` profile, for one device. */
export interface FilesDocument {
  readonly id: string;
  readonly deviceId: string;
  /** absolute */
  readonly target: string;
  /** its name; default files/a */
  readonly blob?: string;
  /** its content, named in the document itself: for managers that know nothing of ours */
  readonly content?: string;
  /** in place of a file at the target: a program, started as it is */
  readonly program?: boolean;
  /** more keys of the profile */
  readonly profile?: Readonly<Record<string, unknown>>;
}

export function margoFiles(id: string, deviceId: string, target: string): string {
  return filesDocument({ id, deviceId, target });
}

export function filesDocument(of: FilesDocument): string {
  const { id, deviceId, target, blob = 'files/a', content } = of;
  const properties = of.program ? { blob, command: [blob.replace(/^.*\//, '')] } : { blob, target };
  const named =
    content === undefined
      ? {}
      : { blobs: { [blob]: { digest: sha256(Buffer.from(content)), size: content.length } } };
  return stringify({
    id,
    metadata: { name: 'line', namespace: 'plant-a', deviceId },
    spec: {
      applicationId: 'line',
      deploymentProfile: {
        type: 'custom',
        components: [
          { name: 'conf', properties: { repository: 'oci://r.example/line', revision: '1.0.0' } },
        ],
        ...of.profile,
        'x-holdfast-extensions': {
          type: of.program ? 'process' : 'files',
          components: [{ name: 'conf', properties }],
          ...named,
        },
      },
    },
  });
}
