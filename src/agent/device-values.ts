/**
 * What the channel of this device brought, from its statement: every sealed value is opened once, to
 * know that it can be, and forgotten again but for a keyed digest. `secretsOf` opens one when a
 * program starts, from the statement as it is on disk, so that a reboot needs no network.
 */
import type { Secrets } from '#apply/secrets.ts';
import { ok, type Result, refuse } from '#errors/fault.ts';
import { mergeValues } from '#plan/values.ts';
import type { DesiredState } from '#state/desired-state.ts';
import type { DeviceValue, KnownValue, SealedFor, SecretRef } from '#state/values.ts';
import { deviceOfChannel } from '#state/values.ts';
import type { ContentStore } from '#store/content.ts';
import { openValue, valueTag } from '#trust/sealed-value.ts';
import type { SealingKey } from '#trust/sealing-key.ts';
import { readDesiredState } from '#wire/desired-state.ts';
import { readDocuments } from '#wire/documents.ts';
import type { StatementFile } from '#wire/records.ts';
import { readValues } from '#wire/values.ts';

type Said = Pick<DesiredState, 'fleet' | 'channel' | 'point' | 'deployments'>;

/** `values.unopened` where one of them is not for this device: then none of them counts. */
export function knownValues(
  state: Said,
  layer: Uint8Array | null,
  key: SealingKey,
): Result<ReadonlyMap<string, KnownValue>> {
  const values = valuesOf(state, layer);
  if (!values.ok) return values;
  const known = new Map<string, KnownValue>();
  for (const [name, value] of values.value) {
    if (value.kind === 'plain') {
      known.set(name, value);
      continue;
    }
    const text = openValue(value.box, placeOf(state, name), key);
    if (!text.ok) return text;
    const tag = valueTag(name, text.value, key);
    known.set(name, { kind: 'sealed', statement: state.point.digest, name, tag });
  }
  return ok(known);
}

/** The same for a statement that is on disk. */
export function keptValues(
  file: StatementFile,
  key: SealingKey,
): Result<ReadonlyMap<string, KnownValue>> {
  const state = readDesiredState(file.envelope.payload);
  return state.ok ? knownValues(state.value, file.documents, key) : state;
}

export function secretsOf(content: Pick<ContentStore, 'readStatement'>, key: SealingKey): Secrets {
  return {
    open(secret) {
      const file = content.readStatement(secret.statement);
      return file.ok ? openOne(file.value, secret, key) : file;
    },
  };
}

function openOne(file: StatementFile, { name }: SecretRef, key: SealingKey): Result<string> {
  const state = readDesiredState(file.envelope.payload);
  if (!state.ok) return state;
  const values = valuesOf(state.value, file.documents);
  if (!values.ok) return values;
  const value = values.value.get(name);
  if (value?.kind === 'sealed') return openValue(value.box, placeOf(state.value, name), key);
  const { channel } = state.value;
  return refuse('values.unopened', { name, channel, reason: 'its statement has no such value' });
}

function valuesOf(
  { channel, deployments }: Said,
  layer: Uint8Array | null,
): Result<ReadonlyMap<string, DeviceValue>> {
  const bytes = readDocuments(layer ?? new Uint8Array());
  if (deployments.length > 0 && !bytes.ok) return bytes;
  const documents = [];
  for (const { id, digest, size } of deployments) {
    const document = bytes.ok ? bytes.value.get(digest) : undefined;
    if (document?.length !== size)
      return refuse('plan.document-missing', { deployment: id, digest });
    const values = readValues(document, { id, file: `${id}.yaml` });
    if (!values.ok) return values;
    documents.push(values.value);
  }
  return mergeValues(channel, documents);
}

function placeOf({ fleet, channel }: Said, name: string): SealedFor {
  return { fleet, channel, device: deviceOfChannel(channel) ?? '', name };
}
