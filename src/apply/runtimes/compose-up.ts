/**
 * Brings a deployment's projects into force and takes them out of it. Read anew each time and idempotent:
 * after a cut the same call finds what is there and does the rest. A container whose service has not
 * changed is left alone; what changed or is no longer wanted is stopped before anything new starts, since
 * two of them may want one port; volumes are never touched.
 */
import { ok, type Result } from '#errors/fault.ts';
import type { Digest } from '#state/digest.ts';
import type { Generation } from '#state/generation.ts';
import {
  LABEL,
  networkName,
  projectName,
  type WantedContainer,
  wantedContainers,
} from './compose-container.ts';
import { type Engine, objectOf } from './compose-engine.ts';
import type { ComposeEnv } from './compose-env.ts';
import { hasImage } from './compose-images.ts';
import {
  containersOf,
  type FoundContainer,
  makeContainer,
  makeNetwork,
  makeVolume,
  removeContainer,
  removeNetworks,
  startContainer,
  stateOf,
} from './compose-objects.ts';
import { notFetched } from './compose-record.ts';
import type { ReadyComponent } from './compose-resolve.ts';
import { secretPath, writeSecrets } from './compose-secrets.ts';
import { type Awaited, waitUntil } from './compose-wait.ts';

const STOP_MS = 10_000;

export interface Wanted {
  readonly engine: Engine;
  readonly ready: readonly ReadyComponent[];
  readonly containers: readonly WantedContainer[];
}

/** What should run, by the disk and the images in the engine. */
export async function wantedOf(
  env: ComposeEnv,
  engine: Engine,
  of: Generation,
  ready: readonly ReadyComponent[],
): Promise<Result<Wanted>> {
  const declared = new Map<Digest, readonly string[]>();
  for (const [name, id] of ready.flatMap(({ images }) => Object.entries(images))) {
    const there = await hasImage(engine, id);
    if (!there.ok) return there;
    if (!there.value) return notFetched(of.id, `image ${name}`);
    const seen = await engine.call({ method: 'GET', path: `/images/${id}/json` });
    if (!seen.ok) return seen;
    const { Config } = objectOf(seen.value.json);
    declared.set(id, Object.keys(objectOf(objectOf(Config).Volumes)).sort());
  }
  const { storeId } = env;
  const containers = ready.flatMap((each) =>
    wantedContainers({
      ...{ storeId, of, declared, ready: each },
      secretPath: secretPath(env, of.id),
    }),
  );
  return ok({ engine, ready, containers });
}

/** @param waits  until it is up, as each component says */
export async function bringUp(
  env: ComposeEnv,
  of: Generation,
  wanted: Wanted,
  waits: boolean,
): Promise<Result<void>> {
  const { engine, ready, containers } = wanted;
  const owner = { storeId: env.storeId, id: of.id };
  const found = await containersOf(engine, owner);
  if (!found.ok) return found;
  const kept = keptOf(found.value, containers);
  // Last started first.
  const stopOf = stopTimes(containers);
  for (const each of found.value.filter((one) => ![...kept.values()].includes(one)).toReversed()) {
    const gone = await removeContainer(engine, each, stopOf(each));
    if (!gone.ok) return gone;
  }
  const secrets = writeSecrets(env, of, ready);
  if (!secrets.ok) return secrets;
  for (const one of ready) {
    const up = await raise(env, of, { wanted, kept, one, waits });
    if (!up.ok) return up;
  }
  const names = ready.flatMap(({ component, project }) =>
    project.networks.map(({ name }) => networkName(projectName(of.id, component.name), name)),
  );
  return removeNetworks(engine, owner, new Set(names));
}

interface Raising {
  readonly wanted: Wanted;
  readonly kept: ReadonlyMap<WantedContainer, FoundContainer>;
  readonly one: ReadyComponent;
  readonly waits: boolean;
}

async function raise(
  env: ComposeEnv,
  of: Generation,
  { wanted: { engine, containers }, kept, one, waits }: Raising,
): Promise<Result<void>> {
  const owner = { storeId: env.storeId, id: of.id };
  const { component, project } = one;
  const name = projectName(of.id, component.name);
  for (const network of project.networks) {
    const made = await makeNetwork(engine, owner, name, network);
    if (!made.ok) return made;
  }
  const volumes = new Set([...project.volumes, ...declaredVolumes(containers, name)]);
  for (const volume of volumes) {
    const made = await makeVolume(engine, owner, name, volume);
    if (!made.ok) return made;
  }
  const untilMs = env.clock.monotonicMs() + component.timeoutMs;
  const waiting = { env, engine, of, untilMs };
  const started = new Map<string, Awaited[]>();
  for (const want of containers.filter((each) => each.component === component.name)) {
    for (const { service, until } of want.service.dependsOn) {
      const before = started.get(service) ?? [];
      const there = until === 'started' ? ok(undefined) : await waitUntil(waiting, before, until);
      if (!there.ok) return there;
    }
    const run = await runOne(env, of, { engine, want, found: kept.get(want) ?? null });
    if (!run.ok) return run;
    started.set(want.service.name, [...(started.get(want.service.name) ?? []), run.value]);
  }
  if (!component.wait || !waits) return ok(undefined);
  return waitUntil(waiting, [...started.values()].flat(), 'up');
}

/** Volumes that an image declares and that got a name (compose-container.ts). */
function declaredVolumes(
  containers: readonly WantedContainer[],
  project: string,
): readonly string[] {
  return containers
    .filter((each) => each.project === project)
    .flatMap(({ body }) => {
      const { Mounts } = objectOf(body.HostConfig);
      return (Array.isArray(Mounts) ? Mounts : []).flatMap((mount) => {
        const { Type, Source } = objectOf(mount);
        return Type === 'volume' ? [String(Source).slice(project.length + 1)] : [];
      });
    });
}

async function runOne(
  env: ComposeEnv,
  of: Generation,
  { engine, want, found }: { engine: Engine; want: WantedContainer; found: FoundContainer | null },
): Promise<Result<Awaited>> {
  if (found) {
    const state = await stateOf(engine, found.id);
    if (!state.ok) return state;
    if (state.value && isDone(want, state.value, env.startedHere(of.id, found.id))) {
      return ok({ want, id: found.id, fresh: false });
    }
    if (state.value) {
      const again = await startContainer(engine, found.id, want.name);
      if (again.ok) env.noteStarted(of.id, found.id);
      return again.ok ? ok({ want, id: found.id, fresh: true }) : again;
    }
  }
  const made = await makeContainer(engine, want);
  if (!made.ok) return made;
  const started = await startContainer(engine, made.value, want.name);
  if (!started.ok) return started;
  env.noteStarted(of.id, made.value);
  env.log.write('info', 'container.started', { deployment: of.id, container: want.name });
  return ok({ want, id: made.value, fresh: true });
}

/**
 * Nothing is to be done for it: it runs, or it did what it had to and ended well since this machine
 * started.
 */
export function isDone(
  { service }: Pick<WantedContainer, 'service'>,
  { status, exitCode }: { readonly status: string; readonly exitCode: number },
  startedHere: boolean,
): boolean {
  if (status === 'running' || status === 'restarting') return true;
  const once = service.restart.name === 'no' || service.restart.name === 'on-failure';
  return status === 'exited' && exitCode === 0 && once && startedHere;
}

/** Which container is which wanted one: same project, service, number and inputs. */
export function keptOf(
  found: readonly FoundContainer[],
  containers: readonly WantedContainer[],
): ReadonlyMap<WantedContainer, FoundContainer> {
  const kept = new Map<WantedContainer, FoundContainer>();
  for (const want of containers) {
    const { project, service, number, hash } = want;
    const same = found.find(
      ({ labels }) =>
        labels[LABEL.project] === project &&
        labels[LABEL.service] === service.name &&
        labels[LABEL.number] === String(number) &&
        labels[LABEL.hash] === hash,
    );
    if (same) kept.set(want, same);
  }
  return kept;
}

/** As the file in force says; one that it no longer names gets the usual time. */
function stopTimes(containers: readonly WantedContainer[]): (found: FoundContainer) => number {
  const known = new Map(
    containers.map(({ project, service }) => [`${project}\0${service.name}`, service.stopMs]),
  );
  return ({ labels }) => known.get(`${labels[LABEL.project]}\0${labels[LABEL.service]}`) ?? STOP_MS;
}

/** Containers and networks; volumes stay. */
export async function bringDown(env: ComposeEnv, id: string): Promise<Result<void>> {
  const engine = await env.engine();
  if (!engine.ok) return engine;
  const owner = { storeId: env.storeId, id };
  const found = await containersOf(engine.value, owner);
  if (!found.ok) return found;
  for (const each of found.value) {
    const gone = await removeContainer(engine.value, each, STOP_MS);
    if (!gone.ok) return gone;
  }
  return removeNetworks(engine.value, owner, new Set());
}
