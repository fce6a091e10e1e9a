/**
 * A hub with TLS: its authority, who is enrolled, and the gate in front of registry and broker.
 * Without it the hub is what it was, open to everyone on the loopback.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Listening, ServerTls } from '#platform/listener.ts';
import type { Platform } from '#platform/platform.ts';
import { readIfThere, replaceFile } from '#platform/replace-file.ts';
import { type Digest, parseDigest, sha256 } from '#state/digest.ts';
import { isJsonObject, readStrictJson } from '#wire/strict-json.ts';
import { type Access, accessOf } from './access.ts';
import type { AdminInput } from './admin.ts';
import { serveAdmin } from './admin-socket.ts';
import { type Authority, openAuthority } from './authority.ts';
import { enrolment, type Offer } from './enrolment.ts';
import { type EnrolmentStore, openEnrolmentStore } from './enrolment-store.ts';
import type { Enrolments } from './fleet-awaited.ts';
import type { FleetRoutes } from './fleet-routes.ts';
import type { EnrolledKey } from './fleet-view.ts';
import { gateOf } from './gate.ts';
import type { RegistryHandler } from './registry.ts';

export interface SecureOptions {
  /** DNS names and addresses of this hub; the first one is the one that devices are told */
  readonly names: readonly string[];
  /** the fleet's root document to hand out; null: none */
  readonly root: Uint8Array | null;
  /** that devices are told to look in; empty: they are told nothing */
  readonly repository: string;
  readonly channel: string;
  /** ms that a credential is good for, and after its end may still be renewed */
  readonly lifeMs: number;
  readonly graceMs: number;
}

export type SecurePlatform = Pick<
  Platform,
  'certificates' | 'clock' | 'files' | 'listener' | 'log' | 'random' | 'x509'
>;

export interface Secure {
  readonly tls: ServerTls;
  readonly access: Access;
  readonly authority: Authority;
  gate(registry: RegistryHandler, fleet: FleetRoutes): RegistryHandler;
  /** by which key a device was let in here; null: by none */
  readonly keyOf: EnrolledKey;
  readonly enrolments: Enrolments;
  /** Once the ports are known: what devices are told, and the operator's socket. */
  listening(ports: Ports): Promise<Result<Listening>>;
  close(): void;
}

export interface Ports {
  readonly registry: number;
  readonly mqtt: number;
}

const OFFER = 'offer.json';
const OFFER_MAX = 16 * 1024;

export async function openSecure(
  platform: SecurePlatform,
  folder: string,
  options: SecureOptions,
): Promise<Result<Secure>> {
  const { clock, log, random } = platform;
  const authority = await openAuthority({ platform, folder, names: options.names });
  if (!authority.ok) return authority;
  const store = openEnrolmentStore(platform.files, folder);
  if (!store.ok) return store;
  const access = accessOf({ clock, log, store: store.value });
  let offer: Offer = { registry: '', mqtt: '', channel: '', root: new Uint8Array() };
  const { lifeMs, graceMs } = options;
  const service = enrolment({
    ...{ clock, random, log, lifeMs, graceMs },
    store: store.value,
    authority: authority.value,
    offer: () => offer,
  });
  const { server, ca } = authority.value;
  return ok({
    tls: { cert: server.certificate, key: server.key, ca, clients: 'optional' },
    access,
    authority: authority.value,
    gate(registry, fleet) {
      access.onRevoked((name) => fleet.revoked(name));
      return gateOf({ clock, access, enrolment: service, registry, fleet });
    },
    enrolments: { all: () => store.value.devices.all(), onChange: store.value.onChange },
    keyOf: (device) => store.value.deviceNamed(device)?.keyid ?? null,
    async listening(ports) {
      offer = offerOf(options, ports);
      const url = `https://${hostOf(options)}:${ports.registry}`;
      const root = options.root ? sha256(options.root) : null;
      const kept = keepOffer(platform, folder, { url, root });
      if (!kept.ok) return kept;
      const hub = authority.value.digest;
      const revoked = (name: string) => access.revoked(name);
      const input = { clock, random, hub, root: () => root, revoked, store: store.value, url };
      return serveAdmin(platform.listener, folder, input);
    },
    close: () => store.value.close(),
  });
}

function hostOf({ names }: SecureOptions): string {
  const [name = 'localhost'] = names;
  return name.includes(':') ? `[${name}]` : name;
}

function offerOf(options: SecureOptions, ports: Ports): Offer {
  const { repository, channel, root } = options;
  const host = hostOf(options);
  return {
    registry: repository === '' ? '' : `https://${host}:${ports.registry}/${repository}`,
    mqtt: `mqtts://${host}:${ports.mqtt}`,
    channel,
    root: root ?? new Uint8Array(),
  };
}

interface KeptOffer {
  readonly url: string;
  readonly root: Digest | null;
}

/** What `token` needs to know while no hub runs. */
function keepOffer(
  { files }: Pick<Platform, 'files'>,
  folder: string,
  offer: KeptOffer,
): Result<undefined> {
  const directory = files.open(`${folder}/enrolment`, { create: 0o700, follow: true });
  if (!directory.ok) return directory;
  const kept = replaceFile(directory.value, OFFER, Buffer.from(JSON.stringify(offer)));
  directory.value.close();
  return kept;
}

export interface Resting {
  readonly input: AdminInput;
  close(): void;
}

/** The operator's side of a hub that does not run; the caller holds its lock. */
export async function openResting(
  platform: SecurePlatform,
  folder: string,
): Promise<Result<Resting>> {
  const directory = platform.files.open(`${folder}/enrolment`, { follow: true });
  if (!directory.ok) return refuse('hub.no-tls', { folder });
  const bytes = readIfThere(directory.value, OFFER, OFFER_MAX);
  directory.value.close();
  const offer = bytes.ok && bytes.value ? offerFrom(bytes.value) : null;
  if (!offer) return refuse('hub.no-tls', { folder });
  const names = [new URL(offer.url).hostname.replace(/^\[|\]$/g, '')];
  const authority = await openAuthority({ platform, folder, names });
  if (!authority.ok) return authority;
  const store: Result<EnrolmentStore> = openEnrolmentStore(platform.files, folder);
  if (!store.ok) return store;
  const { clock, random } = platform;
  const hub = authority.value.digest;
  const { url, root } = offer;
  const quiet = { revoked: () => undefined, root: () => root };
  const input = { clock, random, hub, url, ...quiet, store: store.value };
  return ok({ input, close: () => store.value.close() });
}

function offerFrom(bytes: Uint8Array): KeptOffer | null {
  const read = readStrictJson(bytes, OFFER);
  if (!read.ok || !isJsonObject(read.value)) return null;
  const { url, root } = read.value;
  if (typeof url !== 'string' || !URL.canParse(url)) return null;
  return { url, root: typeof root === 'string' ? parseDigest(root) : null };
}
