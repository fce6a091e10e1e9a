/** What `holdfast time serve` and `holdfast hub --time-key` share: an authority from a fleet folder. */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { ListenOn } from '#platform/listener.ts';
import { openFleet } from '#publisher/fleet.ts';
import { openFleetRegistry } from '#publisher/line.ts';
import { type TimeAuthority, timeAuthority } from '#publisher/time-authority.ts';
import { openTimeSigners } from '#publisher/time-keys.ts';
import { type ServedTime, serveTime } from '#publisher/time-serve.ts';
import type { CliContext } from './context.ts';
import { passphrasesOf } from './fleet-command.ts';
import { resolvePath } from './paths.ts';

export interface AuthorityFlags {
  readonly fleet: string;
  /** key files; none: keys/signing/time.pem */
  readonly key: readonly string[];
}

export interface ServeFlags extends AuthorityFlags {
  readonly listen: string;
  readonly port: number;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly insecure: boolean;
}

const DAY_MS = 24 * 3_600_000;
const PEM_BYTES = 256 * 1024;

/** @param withHeads  look at the registry for them */
export async function openAuthority(
  context: CliContext,
  flags: AuthorityFlags,
  withHeads: boolean,
) {
  const { platform, version } = context;
  const directory = resolvePath(context, flags.fleet);
  const open = () => openFleet(platform, directory, version.buildTime);
  const fleet = open();
  if (!fleet.ok) return fleet;
  const files = flags.key.map((file) => resolvePath(context, file));
  const signers = await openTimeSigners(platform, fleet.value, files, passphrasesOf(context));
  if (!signers.ok) return signers;
  const registry = openFleetRegistry(platform, fleet.value);
  const authority: TimeAuthority = timeAuthority({
    ...{ clock: platform.clock, log: platform.log, fleet: open, signers: signers.value },
    registry: withHeads ? (registry?.registry ?? null) : null,
    buildTimeMs: version.buildTime,
  });
  return ok({ authority, registry, open, fleet: fleet.value });
}

/** Until `close`; HTTP where a port is given. */
export async function startAuthority(
  context: CliContext,
  flags: ServeFlags,
): Promise<Result<ServedTime>> {
  const listenOn = listenOnOf(context, flags);
  if (!listenOn.ok) return listenOn;
  const opened = await openAuthority(context, flags, true);
  if (!opened.ok) return opened;
  const { authority, registry, open } = opened.value;
  return serveTime({
    ...{ platform: context.platform, authority, registry, fleet: open },
    ...{ listenOn: listenOn.value, everyMs: DAY_MS },
  });
}

/** Answers are signed, but who asks and how often is nobody else's business: TLS beyond this host. */
function listenOnOf(context: CliContext, flags: ServeFlags): Result<ListenOn> {
  const { listen: host, port, tlsCert, tlsKey, insecure } = flags;
  const place = { kind: 'tcp', host, port } as const;
  if (tlsCert === undefined || tlsKey === undefined) {
    if (tlsCert !== tlsKey) {
      const reason = 'a certificate and its key go together';
      return refuse('publish.option', { option: '--tls-cert and --tls-key', reason });
    }
    const near = host === 'localhost' || host === '::1' || host.startsWith('127.');
    const reason = `${host} is not this host alone: --tls-cert and --tls-key, or --insecure`;
    return near || insecure ? ok(place) : refuse('publish.option', { option: '--listen', reason });
  }
  const { files } = context.platform;
  const cert = files.readFile(resolvePath(context, tlsCert), PEM_BYTES);
  if (!cert.ok) return cert;
  const key = files.readFile(resolvePath(context, tlsKey), PEM_BYTES);
  if (!key.ok) return key;
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return ok({ ...place, tls: { cert: text(cert.value), key: text(key.value) } });
}
