/** Parameters to text, from the facts of this device. No code runs; nothing is fetched. */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Deployment } from '#state/deployment.ts';
import type { DeviceFacts } from '#state/device.ts';

/**
 * Parameter name → text. `plan.value-missing` when the device lacks a label that is named;
 * `plan.value-unsupported` for values of the device's own channel, which this version does not follow.
 */
export function resolveValues(
  deployment: Deployment,
  device: DeviceFacts,
): Result<ReadonlyMap<string, string>> {
  const values = new Map<string, string>();
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
      case 'device-value':
        return refuse('plan.value-unsupported', { deployment: deployment.id, parameter: name });
    }
  }
  return ok(values);
}
