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

/** Profile types of the format that this program has no runtime for. */
const OTHER_TYPES = ['systemd', 'compose', 'helm', 'custom'] as const;

/** `deploymentProfile` of the own dialect, and of Margo's `custom` extension. */
export const profileSchema = v.variant(
  'type',
  [
    v.strictObject({ type: v.literal('files'), ...filesEntries }),
    v.strictObject({ type: v.literal('process'), ...processEntries }),
    v.looseObject({ type: v.picklist(OTHER_TYPES) }),
  ],
  'a mapping with type: files or process',
);

export function profileOf(profile: v.InferOutput<typeof profileSchema>): Profile {
  switch (profile.type) {
    case 'files':
      return {
        kind: 'files',
        components: profile.components,
        reload: profile.hooks.reload ?? null,
      };
    case 'process':
      return { kind: 'process', components: profile.components };
    default:
      return { kind: 'other', type: profile.type };
  }
}

const schema = closed({
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
  const checked = checkYaml(document, schema);
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
