/**
 * What Margo needs of an ApplicationDeployment beside the deployment itself (application-deployment.ts
 * judges its form): for which device it is, which components status names, whom it fits.
 */
import { ok, type Result } from '#errors/fault.ts';
import type { BlobRef } from '#state/desired-state.ts';
import { parseDigest } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import type { MargoExpression, MargoRule } from '#state/margo.ts';
import { MEDIA } from '#state/media-types.ts';
import { treePath } from './tar-path.ts';
import { openYaml, type YamlDocument } from './yaml-document.ts';

export interface MargoDocumentFacts {
  /** `metadata.name`: the source of errors of the whole */
  readonly name: string;
  /** null: older dialects name none */
  readonly deviceId: string | null;
  /** without the version that older documents append */
  readonly type: string;
  readonly components: readonly string[];
  /** a component whose content a `packageLocation` alone names: a URL has no digest; null: none */
  readonly unpinned: string | null;
  /** one that matches suffices; none at all: it fits every device */
  readonly rules: readonly MargoRule[];
  /** `x-holdfast-extensions.blobs`: content by digest, for managers whose manifests carry none */
  readonly blobs: readonly BlobRef[];
}

const OURS = 'x-holdfast-extensions';
const OPERATORS = [
  'In',
  'NotIn',
  'Exists',
  'DoesNotExist',
  'Gt',
  'Lt',
  'ContainsAll',
  'ContainsAny',
] as const;
const RULES_MAX = 64;
const EXPRESSIONS_MAX = 64;
const DEPTH_MAX = 4;

/** @param bytes  of a document whose form was judged */
export function readMargoFacts(bytes: Uint8Array, file: string): Result<MargoDocumentFacts> {
  const document = openYaml(bytes, file);
  if (!document.ok) return document;
  const { metadata, spec } = mapping(document.value.value);
  const { name, deviceId } = mapping(metadata);
  const profile = mapping(mapping(spec).deploymentProfile);
  const { type, components } = profile;
  const rules = readRules(document.value, mapping(profile.deviceConstraints).eligibilityRules);
  if (!rules.ok) return rules;
  const blobs = readBlobs(document.value, mapping(profile[OURS]).blobs);
  if (!blobs.ok) return blobs;
  const names = list(components).map((component) => `${mapping(component).name ?? ''}`);
  return ok({
    name: typeof name === 'string' ? name : '',
    deviceId: typeof deviceId === 'string' ? deviceId : null,
    type: `${type ?? ''}`.replace(/\.v[0-9]$/, ''),
    components: names,
    unpinned: unpinnedOf(list(components)),
    rules: rules.value,
    blobs: blobs.value,
  });
}

/** pr1; who also names a repository is read by that. */
function unpinnedOf(components: readonly unknown[]): string | null {
  const found = components.map(mapping).find(({ properties }) => {
    const { repository, packageLocation } = mapping(properties);
    return packageLocation !== undefined && repository === undefined;
  });
  return found ? `${found.name ?? ''}` : null;
}

/** By name: `{ digest, size }` of a file, with `unpackedSize` of a tree. */
function readBlobs(document: YamlDocument, value: unknown): Result<readonly BlobRef[]> {
  const blobs: BlobRef[] = [];
  for (const [name, blob] of Object.entries(mapping(value))) {
    const { digest: text, size, unpackedSize } = mapping(blob);
    const digest = typeof text === 'string' ? parseDigest(text) : null;
    const tree = unpackedSize !== undefined;
    const sizes = tree ? [size, unpackedSize] : [size];
    if (digest === null || 'reason' in treePath(name) || !sizes.every(isSize)) {
      const path = ['spec', 'deploymentProfile', OURS, 'blobs', name];
      return document.refuse(path, 'expected a relative name, digest: sha256:…, and size in bytes');
    }
    const mediaType = tree ? MEDIA.tree : MEDIA.file;
    blobs.push({
      ...{ name, digest, mediaType },
      ...{ size: Number(size), unpackedSize: Number(tree ? unpackedSize : size) },
    });
  }
  return ok(blobs);
}

function isSize(value: unknown): boolean {
  return Number.isSafeInteger(value) && Number(value) >= 0 && Number(value) <= LIMITS.blobBytes;
}

const AT = ['spec', 'deploymentProfile', 'deviceConstraints', 'eligibilityRules'];

function readRules(document: YamlDocument, value: unknown): Result<readonly MargoRule[]> {
  if (value === undefined || value === null) return ok([]);
  if (!Array.isArray(value) || value.length > RULES_MAX) {
    return document.refuse(AT, `expected a list of at most ${RULES_MAX} rules`);
  }
  const rules: MargoRule[] = [];
  for (const [index, rule] of value.entries()) {
    const { propertySelector, labelSelector } = mapping(rule);
    const properties = expressionsOf(propertySelector, 1);
    const labels = expressionsOf(labelSelector, 1);
    if (properties === null || labels === null) {
      return document.refuse([...AT, index], 'expected selectors with matchExpressions');
    }
    rules.push({ properties, labels });
  }
  return ok(rules);
}

/** Null: not of Margo's form. No selector: nothing that could fail. */
function expressionsOf(selector: unknown, depth: number): readonly MargoExpression[] | null {
  if (selector === undefined) return [];
  const { matchExpressions } = mapping(selector);
  if (!Array.isArray(matchExpressions) || depth > DEPTH_MAX) return null;
  if (matchExpressions.length === 0 || matchExpressions.length > EXPRESSIONS_MAX) return null;
  const expressions: MargoExpression[] = [];
  for (const item of matchExpressions) {
    const { key, operator: named, values, itemSelector } = mapping(item);
    const operator = OPERATORS.find((one) => one === named);
    if (typeof key !== 'string' || operator === undefined) return null;
    const items = itemSelector === undefined ? [] : expressionsOf(itemSelector, depth + 1);
    if (items === null || !fits(operator, values, items)) return null;
    expressions.push({ key, operator, values: list(values), items });
  }
  return expressions;
}

function fits(
  operator: MargoExpression['operator'],
  values: unknown,
  items: readonly MargoExpression[],
): boolean {
  const count = Array.isArray(values) ? values.length : 0;
  switch (operator) {
    case 'In':
    case 'NotIn':
      return count > 0;
    case 'Gt':
    case 'Lt':
      return count === 1 && typeof list(values)[0] === 'number';
    case 'Exists':
    case 'DoesNotExist':
      return values === undefined;
    case 'ContainsAll':
    case 'ContainsAny':
      return values === undefined && items.length > 0;
  }
}

function mapping(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : {};
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
