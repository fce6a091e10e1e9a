/**
 * A container engine in memory, for what a real one is too slow or too well-behaved: faults of the
 * engine, and a cut after each of its calls. It knows the calls that the runtime `compose` makes and
 * answers as Podman 4.3 does; test/contract and test/real run the same against the real one.
 */
import type { HttpRequest } from '#platform/http.ts';
import { type Answer, type ScriptedHttp, scriptedHttp } from './scripted-http.ts';

interface FakeContainer {
  readonly id: string;
  readonly name: string;
  readonly body: Readonly<Record<string, unknown>>;
  status: string;
  exitCode: number;
  startedAt: string;
}

type Labelled = { readonly Labels: Readonly<Record<string, string>> };

export interface FakeEngine extends ScriptedHttp {
  readonly containers: Map<string, FakeContainer>;
  readonly networks: Map<string, Labelled & { readonly Name: string }>;
  readonly volumes: Map<string, Labelled & { readonly Name: string }>;
  /** id → tags */
  readonly images: Map<string, Set<string>>;
  /** what a started container of this service becomes; default: running */
  readonly ends: Map<string, number>;
  /** calls that change something, in order */
  readonly changes: string[];
  /** the cut comes after so many of them: everything later fails */
  cutAfter: number;
  /** in place of an answer */
  refuse: ((method: string, path: string) => Answer | null) | null;
}

const SERVICE = 'com.docker.compose.service';

export function fakeEngine(): FakeEngine {
  let count = 0;
  const engine: Omit<FakeEngine, keyof ScriptedHttp> = {
    ...{ containers: new Map(), networks: new Map(), volumes: new Map(), images: new Map() },
    ...{ ends: new Map(), changes: [], cutAfter: Number.POSITIVE_INFINITY, refuse: null },
  };
  const scripted = scriptedHttp(async (request) => {
    const url = new URL(request.url);
    const path = url.pathname.replace(/^\/v[0-9.]+/, '');
    const refused = self.refuse?.(request.method, path) ?? null;
    if (refused) return refused;
    const changes = request.method !== 'GET';
    if (changes && self.changes.length >= self.cutAfter) throw new Error('the power was cut');
    const body = await bodyOf(request);
    if (changes) self.changes.push(`${request.method} ${path}`);
    return answer(self, { method: request.method, path, query: url.searchParams, body }, () => {
      count += 1;
      return count.toString(16).padStart(64, '0');
    });
  });
  const self: FakeEngine = Object.assign(engine, scripted);
  return self;
}

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: Buffer;
}

async function bodyOf({ body }: HttpRequest): Promise<Buffer> {
  if (!body) return Buffer.alloc(0);
  if (body instanceof Uint8Array) return Buffer.from(body);
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const json = (status: number, value: unknown): Answer => ({ status, body: JSON.stringify(value) });
const nothing = (status: number): Answer => ({ status });
const absent = json(404, { message: 'no such thing' });

function answer(engine: FakeEngine, asked: Asked, id: () => string): Answer {
  const { method, path } = asked;
  if (path === '/_ping') return { status: 200, body: 'OK' };
  if (path === '/version') {
    const Components = [{ Name: 'Podman Engine' }];
    return json(200, { ApiVersion: '1.41', Version: '4.3.1', Arch: 'amd64', Components });
  }
  const [, kind = '', name = '', action = ''] = path.split('/').map(decodeURIComponent);
  if (kind === 'images') return images(engine, asked, name, action);
  if (kind === 'containers') return containers(engine, asked, { name, action, id });
  if (kind === 'networks') return named(engine.networks, asked, name, (all) => all);
  if (kind === 'volumes') return named(engine.volumes, asked, name, (Volumes) => ({ Volumes }));
  throw new Error(`the engine was asked ${method} ${path}`);
}

function images(
  engine: FakeEngine,
  { method, path, query, body }: Asked,
  name: string,
  action: string,
) {
  if (path === '/images/load') {
    const [, hex = '', tag = ''] =
      /"Config":"([0-9a-f]{64})(?:\.json)?","RepoTags":\["([^"]+)"\]/.exec(
        body.toString('latin1'),
      ) ?? [];
    engine.images.set(`sha256:${hex}`, new Set([tag]));
    return json(200, { stream: `Loaded image: ${tag}` });
  }
  if (path === '/images/json') {
    return json(
      200,
      [...engine.images].map(([Id, tags]) => ({ Id, RepoTags: [...tags] })),
    );
  }
  if (method === 'DELETE') {
    const tag = path.slice('/images/'.length);
    for (const [id, tags] of engine.images) {
      if (tags.delete(tag) && tags.size === 0) engine.images.delete(id);
    }
    return nothing(200);
  }
  const tags = engine.images.get(name);
  if (!tags) return absent;
  if (action === 'json') return json(200, { Id: name, Config: { Volumes: null } });
  tags.add(`${query.get('repo')}:${query.get('tag')}`);
  return nothing(201);
}

function containers(
  engine: FakeEngine,
  { method, query, body }: Asked,
  { name, action, id }: { name: string; action: string; id: () => string },
): Answer {
  if (name === 'json') {
    const all = [...engine.containers.values()].filter(({ body: of }) => matches(of.Labels, query));
    return json(
      200,
      all.map(({ id: Id, name: own, body: { Labels, HostConfig }, status: State }) => {
        const { Mounts } = HostConfig as { readonly Mounts: unknown };
        return { ...{ Id, Names: [`/${own}`], Labels, State, Mounts } };
      }),
    );
  }
  if (name === 'create') {
    const own = query.get('name') ?? '';
    const taken = [...engine.containers.values()].some((each) => each.name === own);
    if (taken) return json(409, { message: `the name ${own} is in use` });
    const made = { id: id(), name: own, body: JSON.parse(body.toString()) };
    const fresh = { ...made, ...{ status: 'created', exitCode: 0, startedAt: '' } };
    engine.containers.set(made.id, fresh);
    return json(201, { Id: made.id });
  }
  const of = engine.containers.get(name);
  if (!of) return absent;
  if (method === 'DELETE') {
    engine.containers.delete(name);
    return nothing(204);
  }
  if (action === 'start') {
    const service = (of.body.Labels as Readonly<Record<string, string>>)[SERVICE] ?? '';
    const code = engine.ends.get(service);
    of.status = code === undefined ? 'running' : 'exited';
    of.exitCode = code ?? 0;
    of.startedAt = new Date().toISOString();
    return nothing(204);
  }
  if (action === 'stop') {
    of.status = 'exited';
    of.exitCode = 137;
    return nothing(204);
  }
  const { status: Status, exitCode: ExitCode, startedAt: StartedAt } = of;
  return json(200, { RestartCount: 0, State: { Status, ExitCode, StartedAt } });
}

function named(
  held: Map<string, Labelled & { readonly Name: string }>,
  { method, query, body }: Asked,
  name: string,
  listed: (all: readonly unknown[]) => unknown,
): Answer {
  if (name === '') {
    return json(200, listed([...held.values()].filter(({ Labels }) => matches(Labels, query))));
  }
  if (name === 'create') {
    const made = JSON.parse(body.toString());
    held.set(made.Name, made);
    return json(201, made);
  }
  if (method === 'DELETE') return nothing(held.delete(name) ? 204 : 404);
  const found = held.get(name);
  return found ? json(200, found) : absent;
}

function matches(labels: unknown, query: URLSearchParams): boolean {
  const { label = [] } = JSON.parse(query.get('filters') ?? '{}') as { label?: readonly string[] };
  const own = (labels ?? {}) as Readonly<Record<string, string>>;
  return label.every((each) => {
    const [key = '', text = ''] = each.split('=');
    return own[key] === text;
  });
}
