/** A deployment in Holdfast's own dialect: `apiVersion: holdfast/v1`, `kind: Deployment`. */
import * as v from 'valibot';
import type { Result } from '#errors/fault.ts';
import type { Deployment, Profile } from '#state/deployment.ts';
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
import { idText, line } from './deployment-text.ts';
import { checkYaml, closed } from './yaml.ts';
import type { YamlDocument } from './yaml-document.ts';

const filesProfile = v.strictObject({ type: v.literal('files'), ...filesEntries });
const processProfile = v.strictObject({ type: v.literal('process'), ...processEntries });
/** Whatever its runtime wants to read; whether there is one is for plan/ to say. */
const otherProfile = v.looseObject(
  {
    type: idText(),
    components: v.optional(
      v.array(
        v.looseObject({
          name: idText(),
          properties: v.optional(v.record(v.string(), v.unknown(), 'a mapping'), {}),
        }),
        'a list of components',
      ),
      [],
    ),
  },
  'a mapping with type: files or process',
);

/** `deploymentProfile` of the own dialect, and of Margo's `custom` extension. */
const profileSchema = v.lazy((input) => {
  const type = typeof input === 'object' && input !== null && 'type' in input ? input.type : null;
  if (type === 'files') return filesProfile;
  return type === 'process' ? processProfile : otherProfile;
});

type ReadProfile =
  | v.InferOutput<typeof filesProfile>
  | v.InferOutput<typeof processProfile>
  | v.InferOutput<typeof otherProfile>;

export function profileOf(profile: ReadProfile): Profile {
  if (isFiles(profile)) {
    return { kind: 'files', components: profile.components, reload: profile.hooks.reload ?? null };
  }
  if (isProcess(profile)) return { kind: 'process', components: profile.components };
  const components = profile.components.map(({ name, properties }) => {
    const { blob } = properties;
    return { name, blob: typeof blob === 'string' ? blob : null, properties };
  });
  return { kind: 'other', type: profile.type, components };
}

function isFiles(profile: ReadProfile): profile is v.InferOutput<typeof filesProfile> {
  return profile.type === 'files';
}

function isProcess(profile: ReadProfile): profile is v.InferOutput<typeof processProfile> {
  return profile.type === 'process';
}

export const deploymentSchema = closed({
  apiVersion: v.literal('holdfast/v1', 'holdfast/v1'),
  kind: v.literal('Deployment', 'Deployment'),
  id: idText(),
  metadata: v.optional(
    closed({
      name: v.optional(line()),
      labels: v.optional(v.record(line(), line(), 'a mapping of texts')),
    }),
    {},
  ),
  spec: closed({ dependsOn, drift, deploymentProfile: profileSchema, parameters, health, data }),
});

/** @param id  what the statement, or the file's name, calls it */
export function readHoldfastDeployment(document: YamlDocument, id: string): Result<Deployment> {
  const checked = checkYaml(document, deploymentSchema);
  if (!checked.ok) return checked;
  const { metadata, spec } = checked.value;
  if (checked.value.id !== id) {
    return document.refuse(['id'], `expected ${id}, as the statement and the file's name say`);
  }
  const { deploymentProfile, ...rest } = spec;
  const deployment = {
    id,
    name: metadata.name ?? id,
    profile: profileOf(deploymentProfile),
    ...rest,
  };
  return checkRules(document, deployment, {
    profile: ['spec', 'deploymentProfile'],
    rest: ['spec'],
    parameters: ['spec', 'parameters'],
  });
}
