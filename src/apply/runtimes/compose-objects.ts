/**
 * Containers, networks and volumes of a deployment in the engine, found by our labels: read anew each
 * time, never remembered. Each call makes one thing so, and is content when it is so already.
 */
import { ok, type Result } from '#errors/fault.ts';
import type { ComposeNetwork } from '#state/compose.ts';
import {
  LABEL,
  networkName,
  ownerLabels,
  volumeName,
  type WantedContainer,
} from './compose-container.ts';
import { type Engine, engineFault, objectOf, textOf } from './compose-engine.ts';

export interface FoundContainer {
  readonly id: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** `running`, `exited`, … as the engine has it */
  readonly state: string;
  /** sources of its mounts */
  readonly sources: readonly string[];
}

export interface Owner {
  readonly storeId: string;
  readonly id: string;
}

const STOP_IDLE_MS = 60_000;

export async function containersOf(
  engine: Engine,
  { storeId, id }: Owner,
): Promise<Result<readonly FoundContainer[]>> {
  const filters = JSON.stringify({
    label: [`${LABEL.store}=${storeId}`, `${LABEL.deployment}=${id}`],
  });
  const path = '/containers/json';
  const listed = await engine.call({ method: 'GET', path, query: { all: '1', filters } });
  if (!listed.ok) return listed;
  if (listed.value.status !== 200) return engineFault('list containers', listed.value);
  return ok(list(listed.value.json).map(foundContainer));
}

function foundContainer(json: unknown): FoundContainer {
  const { Id, Names, Labels, State, Mounts } = objectOf(json);
  return {
    id: textOf(Id),
    name: textOf(list(Names)[0]).replace(/^\//, ''),
    labels: textsOf(Labels),
    state: textOf(State).toLowerCase(),
    sources: list(Mounts).map((mount) => textOf(objectOf(mount).Source)),
  };
}

export interface ContainerState {
  /** `created`, `running`, `restarting`, `exited`, `dead`, `paused` */
  readonly status: string;
  readonly exitCode: number;
  /** empty: it has no health check */
  readonly health: string;
  readonly restarts: number;
  /** ISO 8601, by the engine's clock */
  readonly startedAt: string;
}

/** Null: it is gone. */
export async function stateOf(engine: Engine, id: string): Promise<Result<ContainerState | null>> {
  const seen = await engine.call({ method: 'GET', path: `/containers/${id}/json` });
  if (!seen.ok) return seen;
  if (seen.value.status === 404) return ok(null);
  if (seen.value.status !== 200) return engineFault('look at a container', seen.value);
  const { State, RestartCount } = objectOf(seen.value.json);
  const { Status, ExitCode, Health, StartedAt } = objectOf(State);
  return ok({
    status: textOf(Status).toLowerCase(),
    exitCode: typeof ExitCode === 'number' ? ExitCode : -1,
    health: textOf(objectOf(Health).Status).toLowerCase(),
    restarts: typeof RestartCount === 'number' ? RestartCount : 0,
    startedAt: textOf(StartedAt),
  });
}

/** Stopped as it wants to be, then gone with the volumes that have no name. */
export async function removeContainer(
  engine: Engine,
  { id }: Pick<FoundContainer, 'id'>,
  stopMs: number,
): Promise<Result<void>> {
  const t = String(Math.ceil(stopMs / 1_000));
  const stopped = await engine.call({
    ...{ method: 'POST', path: `/containers/${id}/stop`, query: { t } },
    idleMs: stopMs + STOP_IDLE_MS,
  });
  if (!stopped.ok) return stopped;
  const path = `/containers/${id}`;
  const query = { force: '1', v: '1' };
  const removed = await engine.call({ method: 'DELETE', path, query, idleMs: STOP_IDLE_MS });
  if (!removed.ok) return removed;
  return [200, 204, 404].includes(removed.value.status)
    ? ok(undefined)
    : engineFault('remove a container', removed.value);
}

/** Made, not started. */
export async function makeContainer(
  engine: Engine,
  { name, body, also }: WantedContainer,
): Promise<Result<string>> {
  const made = await engine.call({
    ...{ method: 'POST', path: '/containers/create', query: { name }, json: body },
  });
  if (!made.ok) return made;
  if (made.value.status !== 201) return engineFault(`make the container ${name}`, made.value);
  const id = textOf(objectOf(made.value.json).Id);
  for (const { network, body: EndpointConfig } of also) {
    const joined = await engine.call({
      ...{ method: 'POST', path: `/networks/${network}/connect` },
      json: { Container: id, EndpointConfig },
    });
    if (!joined.ok) return joined;
    if (joined.value.status >= 300) return engineFault(`join ${name} to ${network}`, joined.value);
  }
  return ok(id);
}

export async function startContainer(
  engine: Engine,
  id: string,
  name: string,
): Promise<Result<void>> {
  const started = await engine.call({ method: 'POST', path: `/containers/${id}/start` });
  if (!started.ok) return started;
  // 304: it runs already.
  return started.value.status < 400 ? ok(undefined) : engineFault(`start ${name}`, started.value);
}

export async function makeNetwork(
  engine: Engine,
  owner: Owner,
  project: string,
  { name, internal, subnet }: ComposeNetwork,
): Promise<Result<void>> {
  const Name = networkName(project, name);
  const there = await engine.call({ method: 'GET', path: `/networks/${Name}` });
  if (!there.ok) return there;
  if (there.value.status === 200) return ok(undefined);
  const made = await engine.call({
    ...{ method: 'POST', path: '/networks/create' },
    json: {
      ...{ Name, Driver: 'bridge', CheckDuplicate: true, Internal: internal },
      ...(subnet && { IPAM: { Driver: 'default', Config: [{ Subnet: subnet }] } }),
      Labels: {
        ...ownerLabels(owner.storeId, owner.id),
        ...{ [LABEL.project]: project, [LABEL.network]: name },
      },
    },
  });
  if (!made.ok) return made;
  return made.value.status < 300
    ? ok(undefined)
    : engineFault(`make the network ${Name}`, made.value);
}

export async function makeVolume(
  engine: Engine,
  owner: Owner,
  project: string,
  volume: string,
): Promise<Result<void>> {
  const Name = volumeName(project, volume);
  const there = await engine.call({ method: 'GET', path: `/volumes/${Name}` });
  if (!there.ok || there.value.status === 200) return there.ok ? ok(undefined) : there;
  const made = await engine.call({
    ...{ method: 'POST', path: '/volumes/create' },
    json: {
      Name,
      Labels: {
        ...ownerLabels(owner.storeId, owner.id),
        ...{ [LABEL.project]: project, [LABEL.volume]: volume },
      },
    },
  });
  if (!made.ok) return made;
  return made.value.status < 300
    ? ok(undefined)
    : engineFault(`make the volume ${Name}`, made.value);
}

/** Those of the deployment that are not in `keep`. */
export async function removeNetworks(
  engine: Engine,
  owner: Owner,
  keep: ReadonlySet<string>,
): Promise<Result<void>> {
  const listed = await engine.call({ method: 'GET', path: '/networks', query: ownFilter(owner) });
  if (!listed.ok) return listed;
  if (listed.value.status !== 200) return engineFault('list networks', listed.value);
  for (const json of list(listed.value.json)) {
    const { Name, Labels } = objectOf(json);
    if (!isOwn(textsOf(Labels), owner) || keep.has(textOf(Name))) continue;
    const gone = await engine.call({ method: 'DELETE', path: `/networks/${textOf(Name)}` });
    if (!gone.ok) return gone;
    if (gone.value.status >= 300 && gone.value.status !== 404) {
      return engineFault(`remove the network ${textOf(Name)}`, gone.value);
    }
  }
  return ok(undefined);
}

export async function removeVolumes(engine: Engine, owner: Owner): Promise<Result<void>> {
  const listed = await engine.call({ method: 'GET', path: '/volumes', query: ownFilter(owner) });
  if (!listed.ok) return listed;
  if (listed.value.status !== 200) return engineFault('list volumes', listed.value);
  for (const json of list(objectOf(listed.value.json).Volumes)) {
    const { Name, Labels } = objectOf(json);
    if (!isOwn(textsOf(Labels), owner)) continue;
    const gone = await engine.call({ method: 'DELETE', path: `/volumes/${textOf(Name)}` });
    if (!gone.ok) return gone;
    if (gone.value.status >= 300 && gone.value.status !== 404) {
      return engineFault(`remove the volume ${textOf(Name)}`, gone.value);
    }
  }
  return ok(undefined);
}

function ownFilter({ storeId, id }: Owner): Readonly<Record<string, string>> {
  const label = [`${LABEL.store}=${storeId}`, `${LABEL.deployment}=${id}`];
  return { filters: JSON.stringify({ label }) };
}

/** Engines differ in whether all labels of a filter have to match: they do here. */
function isOwn(labels: Readonly<Record<string, string>>, { storeId, id }: Owner): boolean {
  return labels[LABEL.store] === storeId && labels[LABEL.deployment] === id;
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function textsOf(value: unknown): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(objectOf(value)).filter(
      (each): each is [string, string] => typeof each[1] === 'string',
    ),
  );
}
