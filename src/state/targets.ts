/**
 * `${name}` in the target of a file or directory stands for a parameter, so that one statement can
 * serve devices that keep things in different places. A value fills in part of one path component
 * and never adds one: no label of a device moves a target out of the directory that was signed.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Deployment, FilesComponent } from './deployment.ts';
import { fillPlaceholders, placeholderNames } from './placeholder.ts';

/** Separators and controls: what no single path component can hold. */
const OUTSIDE_A_NAME = /[/\p{Cc}]/u;
/** bytes, Linux NAME_MAX */
const NAME_MAX = 255;

/** The deployment with its targets as they are on this device; `plan.target-value`. */
export function withTargets(
  deployment: Deployment,
  values: ReadonlyMap<string, string>,
): Result<Deployment> {
  const { profile } = deployment;
  if (profile.kind !== 'files') return ok(deployment);
  const components: FilesComponent[] = [];
  for (const component of profile.components) {
    const target = filled(component.target, values);
    if (target === null) {
      return refuse('plan.target-value', { deployment: deployment.id, target: component.target });
    }
    components.push(target === component.target ? component : { ...component, target });
  }
  return ok({ ...deployment, profile: { ...profile, components } });
}

function filled(target: string, values: ReadonlyMap<string, string>): string | null {
  const names = placeholderNames(target);
  if (names?.length === 0 && !target.includes('$${')) return target;
  if (names?.some((name) => OUTSIDE_A_NAME.test(values.get(name) ?? '/')) ?? true) return null;
  const path = fillPlaceholders(target, values);
  return path.slice(1).split('/').every(isName) ? path : null;
}

function isName(part: string): boolean {
  return part !== '' && part !== '.' && part !== '..' && Buffer.byteLength(part) <= NAME_MAX;
}
