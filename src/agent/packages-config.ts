/**
 * agent.yaml, `packages` and `runtimes.compose`: which registries may be asked for images and packages
 * that documents name by address, and where the container engine is. Addresses come from the owner: a
 * document's host is only ever compared with what stands here.
 */
import * as v from 'valibot';
import { isValueName } from '#state/values.ts';
import type { RegistrySettings } from './config.ts';
import {
  type AuthSettings,
  authOf,
  authSchema,
  proxied,
  proxyOf,
  tlsOf,
  tlsSchema,
} from './config-peers.ts';

/** Files, or names of values of this device. */
export type PackageAuth =
  | AuthSettings
  | { readonly usernameValue: string; readonly passwordValue: string };

export interface PackageRegistry extends Omit<RegistrySettings, 'auth'> {
  readonly auth: PackageAuth;
}

export interface PackagesConfig {
  /** `url` is an origin, with `*.` for any host below a domain, and a path that repositories begin with */
  readonly registries: readonly PackageRegistry[];
  readonly requireDigests: boolean;
}

export interface ComposeConfig {
  /** absolute; null: the usual places are tried */
  readonly socket: string | null;
  readonly engine: 'auto' | 'podman' | 'docker';
}

const valueName = v.pipe(v.string(), v.check(isValueName, 'the name of a value of this device'));
const packageAuth = v.union(
  [...authSchema.options, v.strictObject({ usernameValue: valueName, passwordValue: valueName })],
  'auth with usernameFile and passwordFile, with usernameValue and passwordValue, or with tokenFile',
);

export const packagesSchema = v.optional(
  v.strictObject({
    registries: v.optional(
      v.array(
        v.strictObject({
          url: v.pipe(
            v.string(),
            v.regex(
              /^https?:\/\/(?:\*\.)?[A-Za-z0-9.[\]:-]+(?:\/[a-z0-9._/-]*)?$/,
              'https://host or https://*.domain, with the path that repositories begin with',
            ),
          ),
          auth: v.optional(packageAuth),
          tls: v.optional(tlsSchema),
          ...proxied,
          insecure: v.optional(v.boolean('true or false'), false),
        }),
      ),
      [],
    ),
    requireDigests: v.optional(v.boolean('true or false'), false),
  }),
  {},
);

export const composeSchema = v.optional(
  v.strictObject({
    socket: v.optional(v.pipe(v.string(), v.regex(/^\/[^\0]*$/, 'an absolute path'))),
    engine: v.optional(v.picklist(['auto', 'podman', 'docker'], 'auto, podman or docker'), 'auto'),
  }),
  {},
);

export function packagesOf(
  read: v.InferOutput<typeof packagesSchema>,
  at: (name: string) => string,
): PackagesConfig {
  return {
    requireDigests: read.requireDigests,
    registries: read.registries.map((registry) => ({
      url: registry.url,
      auth: packageAuthOf(registry.auth, at),
      tls: tlsOf(registry.tls, at),
      ...proxyOf(registry, at),
      insecure: registry.insecure,
    })),
  };
}

function packageAuthOf(
  read: v.InferOutput<typeof packageAuth> | undefined,
  at: (name: string) => string,
): PackageAuth {
  return read && 'passwordValue' in read ? read : authOf(read, at);
}

export function composeOf(read: v.InferOutput<typeof composeSchema>): ComposeConfig {
  return { socket: read.socket ?? null, engine: read.engine };
}
