/**
 * Margo's ApplicationDeployment, accepted unchanged in its three shapes (MARGO.md sections 5 and
 * 13): 1.0.0-rc.3, rc2 and "1.0.0". Closed where Margo's schema is; `x-<name>-extensions` of others
 * are ignored. `custom` may carry a profile of ours under `x-holdfast-extensions`; without one, and
 * for `compose` and `helm`, it is a type that this program has no runtime for.
 */
import * as v from 'valibot';
import type { Refused, Result } from '#errors/fault.ts';
import type { Deployment, Parameter } from '#state/deployment.ts';
import { checkRules } from './deployment-rules.ts';
import {
  data,
  dependsOn,
  drift,
  filesEntries,
  health,
  parameters,
  processEntries,
} from './deployment-schema.ts';
import { line } from './deployment-text.ts';
import { profileOf } from './holdfast-deployment.ts';
import { quote } from './quote.ts';
import { checkYaml } from './yaml.ts';
import type { YamlDocument } from './yaml-document.ts';

const OURS = 'x-holdfast-extensions';
const EXTENSION = /^x-[a-z][a-z0-9-]*-extensions$/;
const UUID = /^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$/;
const COMPONENT = /^[a-z0-9][a-z0-9-]{0,254}$/;
/** SemVer with `_` for `+` */
const REVISION =
  /^(?:0|[1-9][0-9]{0,18})(?:\.(?:0|[1-9][0-9]{0,18})){2}(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?(?:_[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$/;
const BOOLEAN = v.union([v.boolean(), v.picklist(['true', 'false'])], 'true or false');

/** Legacy documents name a package by URL; whether one without digest may run is the runtime's. */
const properties = v.pipe(
  v.looseObject({
    repository: v.optional(matching(/^oci:\/\/.{1,2000}$/, 'a repository that starts with oci://')),
    packageLocation: v.optional(line()),
    revision: v.optional(matching(REVISION, 'a SemVer version without v, with _ for +')),
    wait: v.optional(BOOLEAN),
    timeout: v.optional(matching(/^[0-9]{1,4}m[0-9]{1,4}s$/, 'a timeout such as "2m30s"')),
  }),
  v.check(
    ({ repository, packageLocation }) => repository !== undefined || packageLocation !== undefined,
    'a mapping with repository and revision',
  ),
  v.check(
    ({ repository, revision }) => repository === undefined || revision !== undefined,
    'a revision beside the repository',
  ),
);

const component = extensible({
  name: matching(COMPONENT, 'a name of a-z, 0-9 and "-"'),
  properties,
  [OURS]: v.optional(v.unknown()),
});

const targets = v.pipe(
  v.array(
    v.looseObject({
      pointer: v.pipe(v.string(), v.nonEmpty('a pointer')),
      components: v.pipe(v.array(v.string()), v.minLength(1, 'at least one component')),
    }),
    'a list',
  ),
  v.minLength(1, 'at least one target'),
);

type Targets = v.InferOutput<typeof targets>;

const schema = v.looseObject({
  kind: v.optional(v.literal('ApplicationDeployment', 'ApplicationDeployment')),
  id: v.optional(matching(UUID, 'a UUID')),
  metadata: v.looseObject({
    name: line(),
    namespace: v.optional(line()),
    deviceId: v.optional(line()),
    labels: v.optional(v.record(v.string(), v.string(), 'a mapping of texts')),
    annotations: v.optional(v.looseObject({ id: v.optional(matching(UUID, 'a UUID')) })),
  }),
  spec: extensible({
    applicationId: v.optional(matching(/^[-a-z0-9]{1,200}$/, 'a-z, 0-9 and "-"')),
    deploymentProfile: extensible({
      type: v.picklist(
        ['helm', 'compose', 'custom', 'helm.v3', 'compose.v1'],
        'helm, compose or custom',
      ),
      components: v.pipe(v.array(component, 'a list'), v.minLength(1, 'at least one component')),
      deviceConstraints: v.optional(v.looseObject({})),
      [OURS]: v.optional(v.unknown()),
    }),
    parameters: v.optional(
      v.record(v.string(), v.looseObject({ value: v.optional(v.unknown()), targets })),
      {},
    ),
  }),
});

/** Our profile inside Margo's: the vocabulary of the own dialect, beside it what Margo lacks. */
/** `blobs` is for managers that know nothing of ours (margo-document.ts reads it). */
const beside = { dependsOn, drift, health, data, blobs: v.optional(v.unknown()) };
const extension = v.variant(
  'type',
  [
    v.strictObject({ type: v.literal('files'), ...filesEntries, ...beside }),
    v.strictObject({ type: v.literal('process'), ...processEntries, ...beside }),
  ],
  'a mapping with type: files or process',
);
const withExtension = v.looseObject({
  spec: v.looseObject({
    deploymentProfile: v.looseObject({ [OURS]: extension }),
    parameters,
  }),
});

/** @param id  what the statement or the manifest calls it */
export function readApplicationDeployment(document: YamlDocument, id: string): Result<Deployment> {
  const checked = checkYaml(document, schema);
  if (!checked.ok) return checked;
  const { metadata, spec } = checked.value;
  const own = checked.value.id ?? metadata.annotations?.id ?? id;
  if (own !== id) return document.refuse(['id'], `expected ${quote(id)}, as the statement says`);
  const broken = checkComponents(document, checked.value);
  if (broken !== null) return broken;
  const type = spec.deploymentProfile.type.replace(/\.v[0-9]$/, '');
  if (type === 'custom' && OURS in spec.deploymentProfile) {
    return readExtension(document, id, metadata.name);
  }
  const components = spec.deploymentProfile.components.map((component) => {
    const { name, properties, [OURS]: own } = component;
    const { blob, images } = ownContents(own);
    const added = { ...(blob !== null && { blob }), ...(images !== undefined && { images }) };
    return { name, blob, properties: { ...properties, ...added } };
  });
  return {
    ok: true,
    value: {
      id,
      name: metadata.name,
      dependsOn: [],
      profile: {
        ...{ kind: 'other', type, components },
        ...(metadata.namespace !== undefined && { namespace: metadata.namespace }),
      },
      parameters: packageParameters(type, spec.parameters),
      health: [],
      drift: 'repair',
      data: [],
    },
  };
}

/** Of a package's runtime: values of any type as written; old documents write ENV.NAME for NAME. */
function packageParameters(
  type: string,
  all: Readonly<Record<string, { readonly value?: unknown; readonly targets: Targets }>>,
): readonly Parameter[] {
  if (type !== 'helm' && type !== 'compose') return [];
  return Object.entries(all).flatMap(([name, { value, targets: of }]) => {
    if (value === undefined) return [];
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    const typed = typeof value === 'string' ? {} : { typed: value };
    const named = of.map(({ pointer, components }) => ({
      pointer: type === 'compose' ? pointer.replace(/^ENV\./, '') : pointer,
      components,
    }));
    return [{ name, value: { kind: 'literal', text, ...typed } as const, targets: named }];
  });
}

/** Content of the statement in place of a registry's, which others pass over. */
function ownContents(own: unknown): { readonly blob: string | null; readonly images: unknown } {
  const { blob, images } = (typeof own === 'object' && own !== null ? own : {}) as {
    readonly blob?: unknown;
    readonly images?: unknown;
  };
  return { blob: typeof blob === 'string' ? blob : null, images };
}

function readExtension(document: YamlDocument, id: string, name: string): Result<Deployment> {
  const checked = checkYaml(document, withExtension);
  if (!checked.ok) return checked;
  const { deploymentProfile, parameters: values } = checked.value.spec;
  const ours = deploymentProfile[OURS];
  const { dependsOn: needs, drift: onDrift, health: checks, data: directories } = ours;
  const deployment: Deployment = {
    id,
    name,
    dependsOn: needs,
    drift: onDrift,
    health: checks,
    data: directories,
    profile: profileOf(ours),
    parameters: values,
  };
  const inside = ['spec', 'deploymentProfile', OURS];
  const base = { profile: inside, rest: inside, parameters: ['spec', 'parameters'] };
  return checkRules(document, deployment, base);
}

/** Names that status tells components apart by (M54, M58). */
function checkComponents(
  document: YamlDocument,
  { spec }: v.InferOutput<typeof schema>,
): Refused | null {
  const names = new Set<string>();
  for (const [index, { name }] of spec.deploymentProfile.components.entries()) {
    const path = ['spec', 'deploymentProfile', 'components', index, 'name'];
    if (names.has(name)) return document.refuse(path, `${quote(name)} stands twice`);
    names.add(name);
  }
  for (const [parameter, { targets: all }] of Object.entries(spec.parameters)) {
    for (const [index, target] of all.entries()) {
      const unknown = target.components.findIndex((name) => !names.has(name));
      if (unknown < 0) continue;
      const path = ['spec', 'parameters', parameter, 'targets', index, 'components', unknown];
      const name = quote(target.components[unknown] ?? '');
      return document.refuse(path, `${name} is no component of this deployment`);
    }
  }
  return null;
}

/** Closed, but for extensions: those that are no entry are dropped unread. */
function extensible<const Entries extends v.ObjectEntries>(entries: Entries) {
  return v.pipe(
    v.record(v.string(), v.unknown(), 'a mapping'),
    v.transform((mapping) => {
      const known = Object.entries(mapping).filter(
        ([key, value]) => key in entries || !EXTENSION.test(key) || typeof value !== 'object',
      );
      return Object.fromEntries(known);
    }),
    v.strictObject(entries),
  );
}

function matching(form: RegExp, expected: string) {
  return v.pipe(
    v.string(expected),
    v.check((text) => form.test(text), expected),
  );
}
