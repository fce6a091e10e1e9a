/**
 * A stand-in for a cluster's API server: what `helm` asks of one, over plain HTTP. It keeps objects, merges
 * patches, and makes Deployments ready, or never. No scheduler, no containers: whether a pod would start is
 * what a test says.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readKube } from './kube-protobuf.ts';

interface Kind {
  readonly group: string;
  readonly plural: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    name: string;
    namespace?: string;
    uid: string;
    resourceVersion: string;
    generation: number;
    labels?: Record<string, string>;
  };
  [key: string]: unknown;
}

export interface KubeApi {
  readonly url: string;
  /** a kubeconfig for it */
  readonly kubeconfig: string;
  /** METHOD /path of every request */
  readonly asked: string[];
  /** names of Deployments that never become ready */
  readonly sick: Set<string>;
  /** by `plural/name`, of any namespace */
  object(path: string): KubeObject | null;
  names(plural: string): readonly string[];
  remove(path: string): void;
  /** requests of this form are left open until `go` */
  hold(form: RegExp): { readonly held: Promise<void>; go(): void };
  close(): Promise<void>;
}

const KINDS: readonly Kind[] = [
  { group: 'v1', plural: 'namespaces', kind: 'Namespace', namespaced: false },
  { group: 'v1', plural: 'secrets', kind: 'Secret', namespaced: true },
  { group: 'v1', plural: 'configmaps', kind: 'ConfigMap', namespaced: true },
  { group: 'v1', plural: 'services', kind: 'Service', namespaced: true },
  { group: 'v1', plural: 'pods', kind: 'Pod', namespaced: true },
  { group: 'apps/v1', plural: 'deployments', kind: 'Deployment', namespaced: true },
  { group: 'apps/v1', plural: 'replicasets', kind: 'ReplicaSet', namespaced: true },
];
const VERBS = ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'];

type Json = { [key: string]: unknown };

export async function kubeApi(): Promise<KubeApi> {
  const objects = new Map<string, KubeObject>();
  const asked: string[] = [];
  const sick = new Set<string>();
  const holds: { form: RegExp; seen: () => void; open: Promise<void> }[] = [];
  let counter = 0;

  const served = (object: KubeObject): Json =>
    object.kind === 'Deployment' ? { ...object, status: statusOf(object, sick) } : object;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await bodyOf(request);
    const { method = '', url = '' } = request;
    const { pathname, searchParams } = new URL(url, 'http://api');
    asked.push(`${method} ${pathname}`);
    for (const one of holds) {
      if (!one.form.test(`${method} ${pathname}`)) continue;
      one.seen();
      await one.open;
    }
    const known = discovery(pathname);
    if (known !== null) return send(response, 200, known);
    const target = targetOf(pathname);
    if (target === null) return send(response, 404, failure(404, 'NotFound', pathname));
    const { key, prefix, kind, name, namespace } = target;
    const held = objects.get(key);
    if (method === 'GET' && name === null) {
      const all = [...objects].filter(([at]) => at.startsWith(prefix)).map(([, one]) => one);
      const wanted = searchParams.get('labelSelector') ?? '';
      const items = derived(kind, objects, { namespace, all, sick }).filter((one) =>
        selected(one, wanted),
      );
      return send(response, 200, listOf(kind, items.map(served)));
    }
    if (method === 'POST') {
      const made = readKube(body) as KubeObject;
      const at = `${prefix}${made.metadata.name}`;
      if (objects.has(at)) return send(response, 409, failure(409, 'AlreadyExists', at));
      counter += 1;
      const metadata = { ...made.metadata, uid: `uid-${counter}`, generation: 1 };
      Object.assign(metadata, { resourceVersion: String(counter) });
      if (namespace !== null) metadata.namespace = namespace;
      objects.set(at, { ...made, metadata });
      return send(response, 201, { ...made, metadata });
    }
    if (held === undefined) return send(response, 404, failure(404, 'NotFound', key));
    if (method === 'GET') return send(response, 200, served(held));
    if (method === 'DELETE') {
      objects.delete(key);
      return send(response, 200, { kind: 'Status', apiVersion: 'v1', status: 'Success' });
    }
    counter += 1;
    const given = readKube(body) as Json;
    const next = (method === 'PATCH' ? merged(held, given) : given) as KubeObject;
    const metadata = { ...next.metadata, uid: held.metadata.uid };
    Object.assign(metadata, { resourceVersion: String(counter), generation: counter });
    objects.set(key, { ...next, metadata });
    return send(response, 200, served({ ...next, metadata }));
  }

  const server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const find = (path: string) => {
    const [plural = '', name = ''] = path.split('/');
    return [...objects].find(([key]) => key.includes(`/${plural}/`) && key.endsWith(`/${name}`));
  };
  return {
    ...{ url, asked, sick },
    kubeconfig: JSON.stringify({
      ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'c' },
      clusters: [{ name: 'c', cluster: { server: url } }],
      contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
      users: [{ name: 'u', user: {} }],
    }),
    object: (path) => find(path)?.[1] ?? null,
    names: (plural) =>
      [...objects].filter(([key]) => key.includes(`/${plural}/`)).map(([, o]) => o.metadata.name),
    remove(path) {
      const found = find(path);
      if (found) objects.delete(found[0]);
    },
    hold(form) {
      let seen = (): void => {};
      let go = (): void => {};
      const held = new Promise<void>((resolve) => {
        seen = resolve;
      });
      const open = new Promise<void>((resolve) => {
        go = resolve;
      });
      const one = { form, seen, open };
      holds.push(one);
      return {
        held,
        go() {
          holds.splice(holds.indexOf(one), 1);
          go();
        },
      };
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function send(response: ServerResponse, status: number, value: Json): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(value));
}

function failure(code: number, reason: string, message: string): Json {
  return { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason, code, message };
}

function discovery(path: string): Json | null {
  const version = { groupVersion: 'apps/v1', version: 'v1' };
  const resources = (group: string): Json => ({
    ...{ kind: 'APIResourceList', apiVersion: 'v1', groupVersion: group },
    resources: KINDS.filter((one) => one.group === group).map(({ plural, kind, namespaced }) => ({
      ...{ name: plural, singularName: kind.toLowerCase(), kind, namespaced, verbs: VERBS },
    })),
  });
  switch (path) {
    case '/version':
      return { major: '1', minor: '31', gitVersion: 'v1.31.0', platform: 'linux/amd64' };
    case '/api':
      return { kind: 'APIVersions', apiVersion: 'v1', versions: ['v1'] };
    case '/apis':
      return {
        ...{ kind: 'APIGroupList', apiVersion: 'v1' },
        groups: [{ name: 'apps', versions: [version], preferredVersion: version }],
      };
    case '/api/v1':
      return resources('v1');
    case '/apis/apps/v1':
      return resources('apps/v1');
    case '/openapi/v3':
      return {
        paths: {
          'api/v1': { serverRelativeURL: '/openapi/v3/api/v1' },
          'apis/apps/v1': { serverRelativeURL: '/openapi/v3/apis/apps/v1' },
        },
      };
    case '/openapi/v3/api/v1':
      return described('v1', '/api/v1');
    case '/openapi/v3/apis/apps/v1':
      return described('apps/v1', '/apis/apps/v1');
    default:
      return null;
  }
}

/** Enough for the client to leave the judging of fields to the server. */
function described(of: string, base: string): Json {
  const paths = KINDS.filter(({ group }) => group === of).map(({ plural, kind, namespaced }) => {
    const [version = '', group = ''] = of.split('/').toReversed();
    const patch = {
      'x-kubernetes-group-version-kind': { group, version, kind },
      parameters: [{ name: 'fieldValidation', in: 'query', schema: { type: 'string' } }],
      responses: {},
    };
    const place = namespaced ? `/namespaces/{namespace}/${plural}` : `/${plural}`;
    return [`${base}${place}/{name}`, { patch }];
  });
  const info = { title: 'Kubernetes', version: 'v1.31.0' };
  return { openapi: '3.0.0', info, paths: Object.fromEntries(paths) };
}

interface Target {
  readonly key: string;
  readonly prefix: string;
  readonly kind: Kind;
  readonly name: string | null;
  readonly namespace: string | null;
}

function targetOf(path: string): Target | null {
  const [, core, group, rest = ''] = /^\/(?:api\/(v1)|apis\/(apps\/v1))\/(.*)$/.exec(path) ?? [];
  const [, namespace = null, inside = rest] = /^namespaces\/([^/]+)\/(.+)$/.exec(rest) ?? [];
  const [plural, name = null] = inside.split('/');
  const kind = KINDS.find((one) => one.group === (core ?? group) && one.plural === plural);
  if (!kind || (kind.namespaced && namespace === null)) return null;
  const prefix = `${namespace ?? ''}/${kind.plural}/`;
  return { key: `${prefix}${name}`, prefix, kind, name, namespace };
}

function listOf({ kind, group }: Kind, items: readonly Json[]): Json {
  return { kind: `${kind}List`, apiVersion: group, metadata: { resourceVersion: '1' }, items };
}

/** `a=b,c in (d,e)`, `a!=b` */
function selected({ metadata: { labels = {} } }: KubeObject, selector: string): boolean {
  if (selector === '') return true;
  return selector.split(/,(?![^(]*\))/).every((part) => {
    const [, key = '', no, value = ''] = /^([^=!]+?)(!?)==?(.*)$/.exec(part) ?? [];
    const [, name = '', list = ''] = /^(\S+) in \((.*)\)$/.exec(part) ?? [];
    if (name !== '') return list.split(',').includes(labels[name] ?? '');
    return (labels[key] === value) === (no === '');
  });
}

function statusOf({ metadata, spec }: KubeObject, sick: ReadonlySet<string>): Json {
  const { replicas = 1 } = spec as { replicas?: number };
  const ready = sick.has(metadata.name) ? 0 : replicas;
  return {
    ...{ observedGeneration: metadata.generation, replicas, updatedReplicas: replicas },
    ...{ readyReplicas: ready, availableReplicas: ready, unavailableReplicas: replicas - ready },
  };
}

/** A ReplicaSet for each Deployment, as its controller would make one. */
function derived(
  { plural }: Kind,
  objects: ReadonlyMap<string, KubeObject>,
  {
    namespace,
    all,
    sick,
  }: {
    readonly namespace: string | null;
    readonly all: readonly KubeObject[];
    readonly sick: ReadonlySet<string>;
  },
): readonly KubeObject[] {
  if (plural !== 'replicasets') return all;
  const deployments = [...objects]
    .filter(([key]) => key.startsWith(`${namespace ?? ''}/deployments/`))
    .map(([, one]) => one);
  return deployments.map((deployment) => {
    const { metadata, spec } = deployment;
    const { template, selector, replicas } = spec as Json;
    const owner = {
      ...{ apiVersion: 'apps/v1', kind: 'Deployment', name: metadata.name, uid: metadata.uid },
      controller: true,
    };
    const labels = (template as { metadata: { labels: Record<string, string> } }).metadata.labels;
    const named = { name: `${metadata.name}-rs`, ...(namespace !== null && { namespace }) };
    return {
      ...{ apiVersion: 'apps/v1', kind: 'ReplicaSet' },
      metadata: {
        ...{ ...named, uid: `${metadata.uid}-rs`, resourceVersion: '1', generation: 1, labels },
        ownerReferences: [owner],
        creationTimestamp: '2026-01-01T00:00:00Z',
      },
      spec: { template, selector, replicas },
      status: { ...statusOf(deployment, sick), observedGeneration: 1 },
    } as KubeObject;
  });
}

/** A merge patch; lists of things with a name are merged by it, as the strategic form does. */
function merged(held: unknown, patch: unknown): unknown {
  if (Array.isArray(patch) && Array.isArray(held)) return mergedList(held, patch);
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const into: Json = { ...(typeof held === 'object' && held !== null ? (held as Json) : {}) };
  for (const [key, value] of Object.entries(patch)) {
    if (key.startsWith('$')) continue;
    if (value === null) delete into[key];
    else into[key] = merged(into[key], value);
  }
  return into;
}

function mergedList(held: readonly unknown[], patch: readonly unknown[]): unknown {
  const nameOf = (one: unknown) => (one as { name?: string } | null)?.name;
  if (!patch.every((one) => nameOf(one) !== undefined)) return patch;
  const into = [...held];
  for (const one of patch) {
    const at = into.findIndex((other) => nameOf(other) === nameOf(one));
    if ((one as Json).$patch === 'delete') into.splice(at, at < 0 ? 0 : 1);
    else if (at < 0) into.push(one);
    else into[at] = merged(into[at], one);
  }
  return into;
}
