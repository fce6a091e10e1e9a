/** The runtimes as this agent uses them: their options from the configuration, and health. */
import { type HealthMonitor, healthMonitor, proveHealthy } from '#apply/health.ts';
import { durablePlaces } from '#apply/places.ts';
import { allRuntimes, type Runtimes } from '#apply/runtimes/catalogue.ts';
import type { Condition } from '#apply/runtimes/runtime.ts';
import type { Secrets } from '#apply/secrets.ts';
import { settleNames } from '#apply/settle.ts';
import { ok, type Result } from '#errors/fault.ts';
import type { Files } from '#platform/files.ts';
import type { Platform } from '#platform/platform.ts';
import type { Generation } from '#state/generation.ts';
import type { ContentStore } from '#store/content.ts';
import type { AgentConfig } from './config.ts';
import { targetRoots } from './config-channels.ts';
import { checkSections } from './own-configuration.ts';

const STORE_ID_FILE = 'store-id';
const STORE_ID_BYTES = 8;
const NOTHING: Condition = { running: 'no', upMs: 0, restarts: 0, message: 'no runtime' };

export interface AgentRuntimes extends Runtimes {
  readonly monitor: HealthMonitor;
  /** Check 21; see `proveHealthy`. */
  prove(
    generations: readonly Generation[],
    windowMs: number,
    signal: AbortSignal,
  ): Promise<Result<void>>;
}

export interface RuntimesInput {
  readonly platform: Platform;
  readonly content: ContentStore;
  /** opens what was sealed to this device */
  readonly secrets: Secrets;
  readonly config: AgentConfig;
  /** what is in force, and what channels left, outside of the roots of now */
  readonly left: () => ReadonlySet<string>;
  /** absolute: no state may replace it */
  readonly executable: string;
  /** of the agent: what the container engine may need of it, where it is started from here */
  readonly engineEnv?: Readonly<Record<string, string | undefined>> | undefined;
  /** The agent starts anew with the configuration that lies there now; absent: it cannot. */
  readonly reconfigure?: (() => void) | undefined;
  /** the health of a deployment changed, or a program ended */
  onChange(deployment: string): void;
}

export function openRuntimes(input: RuntimesInput): Result<AgentRuntimes> {
  const { platform, content, config, executable, onChange, secrets, reconfigure, left } = input;
  const { files, processes, clock, inflate, log, http, sockets } = platform;
  const { stateDir, runDir, channels } = config;
  const id = storeId(platform, stateDir);
  if (!id.ok) return id;
  // A disk that refuses it may still run what is there.
  const settled = settleNames(files, stateDir, durablePlaces(files, stateDir));
  if (!settled.ok) log.write('warn', 'start.names', { code: settled.fault.code });
  const { user: defaultUser, allowRoot } = config.process;
  const users = { defaultUser, allowRoot };
  const runtimes = allRuntimes({
    ...{
      files,
      processes,
      content,
      clock,
      inflate,
      log,
      stateDir,
      runDir,
      users,
      onChange,
      secrets,
      http,
      container: { ...config.compose, env: input.engineEnv ?? {} },
    },
    storeId: id.value,
    ...(reconfigure && { ownConfiguration: ownConfiguration(files, config, reconfigure) }),
    ...(config.helm && { helm: config.helm }),
    roots: targetRoots(channels),
    left,
    protectedPaths: [executable, config.file, config.trust.root, stateDir, runDir],
  });
  const conditionOf = (of: Generation): Condition => {
    const { profile } = of.deployment;
    const type = profile.kind === 'other' ? profile.type : profile.kind;
    return runtimes.byType.get(type)?.condition(of) ?? NOTHING;
  };
  const tools = { clock, processes, http, sockets, users, conditionOf };
  const monitor = healthMonitor(tools, (generation) => onChange(generation.id));
  return ok({
    ...runtimes,
    monitor,
    async prove(generations, windowMs, signal) {
      const options = { windowMs, signal, point: 'this state' };
      const proven = await proveHealthy(tools, generations, options);
      if (proven.ok) monitor.proven(generations);
      return proven;
    },
  });
}

function ownConfiguration(files: Files, config: AgentConfig, changed: () => void) {
  const check = (sections: Uint8Array, deployment: string) =>
    checkSections(files, config.file, sections, deployment);
  return { check, changed };
}

/** Names this store in the environment of its programs; made once, beside what it names. */
function storeId({ files, random }: Platform, stateDir: string): Result<string> {
  const directory = files.open(stateDir, { create: 0o700, follow: true });
  if (!directory.ok) return directory;
  try {
    const known = directory.value.read(STORE_ID_FILE, 64);
    const text = known.ok ? Buffer.from(known.value).toString('latin1') : '';
    if (/^[0-9a-f]{16}$/.test(text)) return ok(text);
    const made = Buffer.from(random.bytes(STORE_ID_BYTES)).toString('hex');
    const cleared = directory.value.removeTree(`${STORE_ID_FILE}.new`);
    if (!cleared.ok) return cleared;
    const written = directory.value.write(`${STORE_ID_FILE}.new`, Buffer.from(made), 0o600);
    if (!written.ok) return written;
    const named = directory.value.rename(`${STORE_ID_FILE}.new`, STORE_ID_FILE);
    const synced = named.ok ? directory.value.sync() : named;
    return synced.ok ? ok(made) : synced;
  } finally {
    directory.value.close();
  }
}
