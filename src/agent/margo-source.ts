/** Where the desired state of a Margo manager is looked for: its API, or the OCI form in a registry. */
import * as v from 'valibot';
import { ok, type Result } from '#errors/fault.ts';
import { type RegistryConfig, readEndpoint } from '#link/endpoint.ts';
import { httpLink } from '#link/http.ts';
import type { MargoLink } from '#link/margo.ts';
import { isReference, registry } from '#link/registry.ts';
import type { Platform } from '#platform/platform.ts';
import { margoOci } from '#sources/margo-oci.ts';
import { registryOf, registrySchema } from './config-peers.ts';
import type { AgentTime } from './time.ts';

/** Keys of the section `margo`. */
export const sourceEntries = {
  source: v.optional(v.picklist(['api', 'oci'], 'api or oci'), 'api'),
  oci: v.optional(registrySchema),
  tag: v.optional(
    v.pipe(
      v.string(),
      v.check((text) => isReference(text), 'a tag'),
    ),
    'latest',
  ),
};

export type MargoSource =
  | { readonly kind: 'api' }
  | { readonly kind: 'oci'; readonly registry: RegistryConfig; readonly tag: string };

type Read = v.InferOutput<v.StrictObjectSchema<typeof sourceEntries, undefined>>;

/** What stands together. */
export function sourceFits({ source, oci }: Pick<Read, 'source' | 'oci'>): boolean {
  return (source === 'oci') === (oci !== undefined);
}

export function sourceOf({ oci, tag }: Read, at: (name: string) => string): MargoSource {
  return oci ? { kind: 'oci', registry: registryOf(oci, at), tag } : { kind: 'api' };
}

export interface MargoSourceInput {
  readonly platform: Platform;
  readonly time: Pick<AgentTime, 'view'>;
  readonly source: MargoSource;
  readonly runDir: string;
}

/** The same link, with the desired state from where the owner says; reports go to the manager. */
export function withSource(
  { platform, time, source, runDir }: MargoSourceInput,
  link: MargoLink,
): Result<MargoLink> {
  if (source.kind === 'api') return ok(link);
  const checked = readEndpoint(source.registry);
  if (!checked.ok) return checked;
  const deadClock = { directory: `${runDir}/margo-oci`, time: () => time.view() };
  const http = httpLink(platform, { deadClock });
  const repository = registry(http, source.registry);
  const oci = margoOci({ repository, tag: source.tag, inflate: platform.inflate });
  return ok({
    ...{ ...link, ...oci },
    close() {
      http.close();
      link.close();
    },
  });
}
