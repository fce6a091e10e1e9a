/**
 * From an accepted statement and its documents to ordered steps. Pure: the same values give the
 * same plan, and nothing is fetched or written. What the device's owner allows is in allow.ts,
 * order in order.ts, the difference in steps.ts.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Deployment } from '#state/deployment.ts';
import type { BlobRef, DesiredState } from '#state/desired-state.ts';
import type { DeviceFacts } from '#state/device.ts';
import type { Digest } from '#state/digest.ts';
import { type Generation, type GenerationBlob, generationDigest } from '#state/generation.ts';
import { MEDIA } from '#state/media-types.ts';
import { withTargets } from '#state/targets.ts';
import type { KnownValues } from '#state/values.ts';
import { type Allow, checkAllowed } from './allow.ts';
import { inOrder } from './order.ts';
import { NO_VALUES, resolveValues } from './resolve.ts';
import type { Step } from './step.ts';
import { everyStep, stepsBetween } from './steps.ts';

export interface Plan {
  /** everything that is to be in force, in dependency order */
  readonly desired: readonly Generation[];
  readonly steps: readonly Step[];
}

/** A document of the statement, decoded, with the blobs it names. */
export interface Document {
  readonly deployment: Deployment;
  readonly blobNames: readonly string[];
  readonly digest: Digest;
  readonly mediaType: string;
}

export interface PlanInput {
  readonly state: DesiredState;
  readonly documents: readonly Document[];
  readonly current: readonly Generation[];
  readonly device: DeviceFacts;
  readonly allow: Allow;
  /** of the device's own channel; default: it has none */
  readonly values?: KnownValues;
  /** what is on disk is not known to be `current` (phase stuck): every deployment counts as changed */
  readonly everythingChanged?: boolean;
}

export function planChange(input: PlanInput): Result<Plan> {
  const generations: Generation[] = [];
  const blobs = new Map(input.state.blobs.map((blob) => [blob.name, blob]));
  for (const document of input.documents) {
    const generation = generationOf(document, blobs, input);
    if (!generation.ok) return generation;
    generations.push(generation.value);
  }
  const allowed = checkAllowed(generations, input.allow);
  if (!allowed.ok) return allowed;
  const desired = inOrder(generations);
  if (!desired.ok) return desired;
  const steps = input.everythingChanged
    ? everyStep(input.current, desired.value)
    : stepsBetween(input.current, desired.value);
  return ok({ desired: desired.value, steps });
}

function generationOf(
  document: Document,
  blobs: ReadonlyMap<string, BlobRef>,
  { device, values: known = NO_VALUES }: PlanInput,
): Result<Generation> {
  const { deployment } = document;
  const named = new Map<string, GenerationBlob>();
  for (const name of document.blobNames) {
    const blob = blobs.get(name);
    if (!blob) return refuse('plan.blob-missing', { deployment: deployment.id, blob: name });
    const { digest, size, unpackedSize, mediaType } = blob;
    named.set(name, { digest, size, unpackedSize, tree: mediaType === MEDIA.tree });
  }
  const resolved = resolveValues(deployment, device, known);
  if (!resolved.ok) return resolved;
  const { values, secrets } = resolved.value;
  const placed = withTargets(deployment, values);
  if (!placed.ok) return placed;
  return ok({
    id: deployment.id,
    digest: generationDigest(document.digest, named, values, secrets),
    documentDigest: document.digest,
    deployment: placed.value,
    blobs: named,
    values,
    ...(secrets.size > 0 && { secrets }),
  });
}
