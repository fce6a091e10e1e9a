/** Parameters to text, from facts and values of this device. No code runs; nothing is fetched. */
import { ok, type Result, refuse } from '#errors/fault.ts';
import { COMPOSE_PROFILE } from '#state/compose.ts';
import type { Deployment } from '#state/deployment.ts';
import type { DeviceFacts } from '#state/device.ts';
import { placeholderNames } from '#state/placeholder.ts';
import type { KnownValues, SecretRef } from '#state/values.ts';

/** Parameter name → text, or where the sealed value stands that the text is opened from. */
export interface Resolved {
  readonly values: ReadonlyMap<string, string>;
  readonly secrets: ReadonlyMap<string, SecretRef>;
}

export const NO_VALUES: KnownValues = {
  channel: '',
  absent: 'this device follows no channel of its own',
  byName: new Map(),
};

/**
 * `plan.value-missing` when the device lacks a label that is named; `values.unresolved` when it has
 * no such value yet; `values.exposed` when a sealed one would stand where others read it.
 */
export function resolveValues(
  deployment: Deployment,
  device: DeviceFacts,
  known: KnownValues,
): Result<Resolved> {
  const values = new Map<string, string>();
  const secrets = new Map<string, SecretRef>();
  for (const { name, value } of deployment.parameters) {
    switch (value.kind) {
      case 'literal':
        values.set(name, value.text);
        break;
      case 'device-id':
        values.set(name, device.id);
        break;
      case 'device-label': {
        const text = device.labels[value.label];
        if (text === undefined) {
          const details = { deployment: deployment.id, parameter: name, label: value.label };
          return refuse('plan.value-missing', details);
        }
        values.set(name, text);
        break;
      }
      case 'device-value': {
        const found = known.byName.get(value.name);
        if (!found) return unresolved(deployment, { parameter: name, value: value.name }, known);
        if (found.kind === 'plain') values.set(name, found.text);
        else secrets.set(name, { statement: found.statement, name: found.name, tag: found.tag });
        break;
      }
    }
  }
  const exposed = checkExposed(deployment, secrets);
  return exposed.ok ? ok({ values, secrets }) : exposed;
}

function unresolved(
  { id }: Deployment,
  { parameter, value }: { readonly parameter: string; readonly value: string },
  { channel, absent }: KnownValues,
): Result<never> {
  const reason = absent ?? `${channel} has no such value`;
  return refuse('values.unresolved', { deployment: id, parameter, name: value, reason });
}

/** A file on disk, an argument, a path: what a sealed value must never be part of. */
function checkExposed(
  { id, profile }: Deployment,
  secrets: ReadonlyMap<string, SecretRef>,
): Result<undefined> {
  const [first] = secrets.keys();
  if (first === undefined) return ok();
  const no = (parameter: string, where: string) =>
    refuse('values.exposed', { deployment: id, parameter, where });
  // A compose file may give them to secrets alone, which is judged where it is read (wire/compose.ts).
  if (profile.kind === 'other' && profile.type === COMPOSE_PROFILE) return ok();
  if (profile.kind !== 'process') return no(first, `files of the runtime "${profile.kind}"`);
  for (const { name, command } of profile.components) {
    const used = command.flatMap((text) => placeholderNames(text) ?? []);
    const exposed = used.find((parameter) => secrets.has(parameter));
    if (exposed !== undefined) return no(exposed, `the command line of ${name}`);
  }
  return ok();
}
