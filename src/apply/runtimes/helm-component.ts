/**
 * The components of a deployment of type `helm`, as releases: what each is called in the cluster, where,
 * with which values, for how long helm may wait. Names hold a hash of the deployment, so that two
 * deployments with a component of one name have two releases, and nothing that a person installed is
 * ever taken for ours.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { OtherComponent } from '#state/deployment.ts';
import { type Digest, hexOf, sha256 } from '#state/digest.ts';
import type { Generation } from '#state/generation.ts';
import { helmValues, helmValuesText } from '#wire/helm-values.ts';
import { readPackageName } from '#wire/image-name.ts';
import type { PackagePlace } from './packages.ts';

export interface HelmRelease {
  readonly deployment: string;
  /** as the document calls it; the chart has the same name */
  readonly component: string;
  /** in the cluster */
  readonly name: string;
  readonly namespace: string;
  /** false: installed is enough, it need not be ready */
  readonly wait: boolean;
  readonly timeoutMs: number;
  /** JSON */
  readonly values: string;
  readonly chart: ChartRef;
}

export type ChartRef =
  /** of the statement */
  | { readonly kind: 'blob'; readonly name: string }
  | { readonly kind: 'package'; readonly place: PackagePlace; readonly tag: string };

export interface HelmRules {
  /** null: any but those of the cluster itself */
  readonly namespaces: readonly string[] | null;
}

const TIMEOUT_MS = 5 * 60_000;
const TIMEOUT_MAX_MS = 60 * 60_000;
/** characters of a release's name; helm's limit is 53 */
const NAME_MAX = 44;
const NAMESPACE = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const COMPONENT = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const OF_THE_CLUSTER = /^kube-/;

export function releasesOf(next: Generation, rules: HelmRules): Result<readonly HelmRelease[]> {
  const { profile } = next.deployment;
  if (profile.kind !== 'other') return ok([]);
  const releases: HelmRelease[] = [];
  for (const component of profile.components) {
    const release = releaseOf(next, component, profile.namespace);
    if (!release.ok) return release;
    const { namespace } = release.value;
    const allowed = rules.namespaces?.includes(namespace) ?? !OF_THE_CLUSTER.test(namespace);
    if (!allowed) {
      const text = rules.namespaces ? `allowed: ${rules.namespaces.join(', ')}` : 'any but kube-*';
      return refuse('helm.namespace', { deployment: next.id, namespace, allowed: text });
    }
    releases.push(release.value);
  }
  return ok(releases);
}

function releaseOf(
  next: Generation,
  component: OtherComponent,
  documentNamespace: string | undefined,
): Result<HelmRelease> {
  const { id, deployment, values } = next;
  const { name, properties } = component;
  const no = (reason: string) => refuse('helm.chart', { deployment: id, component: name, reason });
  if (!COMPONENT.test(name)) return no('its name is no name of a chart');
  const { wait = true, timeout, namespace = documentNamespace ?? 'default' } = properties;
  if (typeof namespace !== 'string' || !NAMESPACE.test(namespace)) {
    return no('its namespace is no name of one');
  }
  const timeoutMs = timeout === undefined ? TIMEOUT_MS : readTimeout(timeout);
  if (timeoutMs === null) return no('its timeout is none, such as 8m30s, of at most an hour');
  const waits = wait !== false && wait !== 'false';
  const chart = chartOf(component);
  if (chart === null)
    return no('it names neither a blob nor oci://host/repository with a revision');
  const read = helmValues(deployment.parameters, name, (parameter) => values.get(parameter) ?? '');
  if (read.kind === 'wrong') {
    const { parameter, reason } = read;
    return refuse('helm.values', { deployment: id, parameter, reason });
  }
  return ok({
    ...{ deployment: id, component: name, name: releaseName(id, name), namespace, timeoutMs },
    ...{ wait: waits, values: helmValuesText(read.values), chart },
  });
}

function chartOf({ blob, properties }: OtherComponent): ChartRef | null {
  if (blob !== null) return { kind: 'blob', name: blob };
  const { repository, revision } = properties;
  if (typeof repository !== 'string' || typeof revision !== 'string') return null;
  const place = readPackageName(repository);
  return place && { kind: 'package', place, tag: revision };
}

/** The same for the same deployment and component, whatever its state. */
function releaseName(deployment: string, component: string): string {
  const hash = hexOf(sha256(Buffer.from(deployment))).slice(0, 8);
  return `${component.slice(0, NAME_MAX).replace(/-+$/, '')}-${hash}`;
}

/** `8m30s`; null: none, or above the bound. */
function readTimeout(text: unknown): number | null {
  const [, minutes, seconds] = /^(\d{1,4})m(\d{1,4})s$/.exec(`${text}`) ?? [];
  if (minutes === undefined) return null;
  const ms = (Number(minutes) * 60 + Number(seconds)) * 1_000;
  return ms > 0 && ms <= TIMEOUT_MAX_MS ? ms : null;
}

/** What a release in the cluster was made of: stands in the description of its revision. */
export function markOf({ name, namespace, values }: HelmRelease, chart: Digest): string {
  const parts = ['holdfast.helm.v1', name, namespace, chart, values];
  const text = parts.map((part) => `${Buffer.byteLength(part)}:${part}`).join('');
  return `holdfast ${sha256(Buffer.from(text))}`;
}
