/**
 * The registries that may be asked for images and packages: those of `packages.registries`, and the
 * hosts of `registries`, each with the owner's credentials, certificates and proxy. A document only
 * names a host; whether and how it is asked stands in agent.yaml (decision 0028). Everything is
 * checked by digest on the way in, goes on after a cut, and a tag is believed once.
 */
import type { PackageBlob, PackagePlace, Packages } from '#apply/runtimes/packages.ts';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { HttpLink } from '#link/http.ts';
import { type Registry, registry } from '#link/registry.ts';
import type { Allow } from '#plan/allow.ts';
import type { Downloads } from '#sources/download.ts';
import type { Source } from '#sources/source.ts';
import type { Digest } from '#state/digest.ts';
import type { PackagePins } from '#store/package-pins.ts';
import { IMAGE_TYPES } from '#wire/image-manifest.ts';
import type { AgentConfig, RegistrySettings } from './config.ts';
import { credentialsOf, type DeviceCredentials } from './package-credentials.ts';
import type { PackageRegistry } from './packages-config.ts';

export interface PackagesInput {
  readonly config: Pick<AgentConfig, 'packages' | 'registries'>;
  readonly device: DeviceCredentials;
  readonly http: HttpLink;
  readonly pins: PackagePins;
  readonly downloads: Downloads;
}

/** For one change of one channel. */
export type OpenPackages = (allow: Allow, signal: AbortSignal) => Packages;

const HUB = 'registry-1.docker.io';

export function packagesFrom(input: PackagesInput): OpenPackages {
  const { config } = input;
  const opener = () => {
    const opened = new Map<string, Registry>();
    return (place: PackagePlace): Result<Registry> => {
      const settings = settingsFor(config, place);
      if (!settings.ok) return settings;
      const known = opened.get(settings.value.url);
      if (known) return ok(known);
      const { auth, ...rest } = settings.value;
      const as = { registry: new URL(rest.url).host, device: input.device };
      const credentials = credentialsOf(auth, as);
      if (!credentials.ok) return credentials;
      const made = registry(input.http, { ...rest, auth: credentials.value });
      opened.set(settings.value.url, made);
      return ok(made);
    };
  };
  return (allow, signal) => {
    const open = opener();
    return opening(input, open, { allow, signal });
  };
}

function opening(
  { config, pins, downloads }: PackagesInput,
  open: (place: PackagePlace) => Result<Registry>,
  { allow, signal }: Pick<Packages, 'allow' | 'signal'>,
): Packages {
  return {
    requireDigests: config.packages.requireDigests,
    allow,
    signal,
    async pinned(place, tag, as) {
      const repository = open(place);
      if (!repository.ok) return repository;
      const name = `${place.host}/${place.repository}:${tag}`;
      const key = as === undefined ? name : `${name} ${as}`;
      return pinned(pins, { name, key, once: as !== undefined }, () =>
        repository.value.getManifestOf(IMAGE_TYPES, tag, signal),
      );
    },
    async manifest(place, digest) {
      const repository = open(place);
      if (!repository.ok) return repository;
      const found = await repository.value.getManifestOf(IMAGE_TYPES, digest, signal);
      if (!found.ok) return found;
      if (found.value) return ok(found.value.bytes);
      return refuse('package.missing', { name: `${place.host}/${place.repository}@${digest}` });
    },
    async fetch(place, blobs) {
      const repository = open(place);
      if (!repository.ok) return repository;
      const wanted = blobs.map((blob: PackageBlob) => ({ ...blob, name: place.repository }));
      return downloads.fetchAll(wanted, [asSource(repository.value)], signal);
    },
  };
}

async function pinned(
  pins: PackagePins,
  { name, key, once }: { readonly name: string; readonly key: string; readonly once: boolean },
  ask: () => ReturnType<Registry['getManifestOf']>,
): Promise<Result<Digest>> {
  const known = pins.known(key);
  if (!known.ok) return known;
  if (known.value && once) return ok(known.value);
  const now = await ask();
  // What was taken before is what is meant, whether or not anybody can be asked.
  if (known.value && (!now.ok || now.value === null)) return ok(known.value);
  if (!now.ok) return now;
  if (now.value === null) return refuse('package.missing', { name });
  const { digest } = now.value;
  if (known.value && known.value !== digest) {
    return refuse('package.tag-moved', { name, known: known.value, found: digest });
  }
  const kept = pins.remember(key, digest);
  return kept.ok ? ok(digest) : kept;
}

/** Blobs alone: a package is no head of a channel. */
function asSource(from: Registry): Source {
  return {
    name: from.name,
    via: 'registry',
    peek: async () => ok(null),
    head: async () => ok(null),
    blob: (digest, offset, cap, signal) => from.blob(digest, offset, cap, signal),
  };
}

/** The owner's entry that fits, with the repository that is meant as its path. */
function settingsFor(
  { packages, registries }: PackagesInput['config'],
  { host, repository }: PackagePlace,
): Result<PackageRegistry> {
  const named = host === 'docker.io' ? HUB : host;
  for (const settings of [...packages.registries, ...registries.map(hostOf)]) {
    const [, scheme = '', pattern = '', path = ''] =
      /^(https?:\/\/)([^/]+)(\/.*)?$/.exec(settings.url) ?? [];
    const below = path.replace(/^\/|\/$/g, '');
    const inside = below === '' || repository === below || repository.startsWith(`${below}/`);
    if (!inside || !fits(pattern, host, named)) continue;
    return ok({ ...settings, url: `${scheme}${named}/${repository}` });
  }
  const all = [...packages.registries, ...registries.map(hostOf)].map(({ url }) => url);
  const allowed = all.length === 0 ? 'none is named' : `named: ${all.join(', ')}`;
  return refuse('package.registry-refused', { host, repository, allowed });
}

/** The registry of states, as a place of images too: same host, same credentials. */
function hostOf(settings: RegistrySettings): RegistrySettings {
  return { ...settings, url: /^https?:\/\/[^/]+/.exec(settings.url)?.[0] ?? settings.url };
}

function fits(pattern: string, ...hosts: readonly string[]): boolean {
  if (!pattern.startsWith('*.')) return hosts.includes(pattern);
  return hosts.some((host) => host.endsWith(pattern.slice(1)));
}
