/**
 * Rules across the fields of a deployment, the same for both dialects. Each fault stands at the
 * place in the document that breaks it; `base` says where in it the profile and the rest are.
 */
import { ok, type Refused, type Result } from '#errors/fault.ts';
import type { Deployment, ProcessComponent } from '#state/deployment.ts';
import { placeholderNames } from '#state/placeholder.ts';
import { isVariable } from './deployment-text.ts';
import { quote } from './quote.ts';
import type { YamlDocument, YamlPath } from './yaml-document.ts';

export interface Base {
  /** of `components`, `hooks` */
  readonly profile: YamlPath;
  /** of `dependsOn`, `health`, `data` */
  readonly rest: YamlPath;
  /** of the parameters */
  readonly parameters: YamlPath;
}

export function checkRules(
  document: YamlDocument,
  deployment: Deployment,
  base: Base,
): Result<Deployment> {
  const broken =
    checkNames(document, deployment, base) ??
    checkProfile(document, deployment, base) ??
    checkTargets(document, deployment, base);
  return broken ?? ok(deployment);
}

function checkNames(document: YamlDocument, deployment: Deployment, base: Base): Refused | null {
  const { dependsOn, health, data } = deployment;
  const own = dependsOn.indexOf(deployment.id);
  if (own >= 0) {
    return document.refuse([...base.rest, 'dependsOn', own], 'a deployment cannot need itself');
  }
  return (
    once(document, dependsOn, (index) => [...base.rest, 'dependsOn', index]) ??
    once(
      document,
      health.map(({ name }) => name),
      (index) => [...base.rest, 'health', index, 'name'],
    ) ??
    once(
      document,
      data.map(({ path }) => path),
      (index) => [...base.rest, 'data', index, 'path'],
    )
  );
}

function checkProfile(document: YamlDocument, deployment: Deployment, base: Base): Refused | null {
  const { profile } = deployment;
  if (profile.kind === 'other') return null;
  const at = (index: number): YamlPath => [...base.profile, 'components', index];
  const names = profile.components.map(({ name }) => name);
  const twice = once(document, names, (index) => [...at(index), 'name']);
  if (twice !== null) return twice;
  const known = new Set(deployment.parameters.map(({ name }) => name));
  if (profile.kind === 'files') {
    const targets = profile.components.map(({ target }) => target);
    const place = (index: number): YamlPath => [...at(index), 'properties', 'target'];
    for (const [index, target] of targets.entries()) {
      const broken = checkFilled(document, target, place(index), known);
      if (broken !== null) return broken;
    }
    return once(document, targets, place);
  }
  for (const [index, component] of profile.components.entries()) {
    const broken = checkPlaceholders(document, component, [...at(index), 'properties'], known);
    if (broken !== null) return broken;
  }
  return null;
}

/** The program itself is named outright; the rest of its command and its environment may vary. */
function checkPlaceholders(
  document: YamlDocument,
  { command, env }: ProcessComponent,
  base: YamlPath,
  known: ReadonlySet<string>,
): Refused | null {
  const texts: (readonly [YamlPath, string])[] = [
    ...command.map((text, index) => [[...base, 'command', index], text] as const),
    ...Object.entries(env).map(([name, text]) => [[...base, 'env', name], text] as const),
  ];
  for (const [index, [path, text]] of texts.entries()) {
    if (index === 0 && (placeholderNames(text)?.length ?? 0) > 0) {
      return document.refuse(path, 'the program itself cannot be a parameter');
    }
    const broken = checkFilled(document, text, path, known);
    if (broken !== null) return broken;
  }
  return null;
}

/** What stands in `${}` names a parameter. */
function checkFilled(
  document: YamlDocument,
  text: string,
  path: YamlPath,
  known: ReadonlySet<string>,
): Refused | null {
  const names = placeholderNames(text);
  if (names === null) {
    return document.refuse(path, `expected a parameter's name, as in "\${port}"`);
  }
  const missing = names.find((name) => !known.has(name));
  if (missing === undefined) return null;
  const parameters = known.size === 0 ? 'none' : [...known].join(', ');
  return document.refuse(path, `\${${missing}} names no parameter; there are: ${parameters}`);
}

/** A target names components that exist (M54), and no variable is set twice in one of them. */
function checkTargets(document: YamlDocument, deployment: Deployment, base: Base): Refused | null {
  const { profile, parameters } = deployment;
  if (profile.kind === 'other') return null;
  const taken = new Set<string>();
  const names = new Set<string>();
  for (const component of profile.components) {
    names.add(component.name);
    if (!('env' in component)) continue;
    for (const variable of Object.keys(component.env)) taken.add(`${component.name} ${variable}`);
  }
  for (const { name, targets } of parameters) {
    for (const [index, target] of targets.entries()) {
      const path: YamlPath = [...base.parameters, name, 'targets', index];
      if (!isVariable(target.pointer)) {
        return document.refuse([...path, 'pointer'], 'expected the name of a variable');
      }
      for (const [position, component] of target.components.entries()) {
        const at: YamlPath = [...path, 'components', position];
        if (!names.has(component)) {
          return document.refuse(at, `${quote(component)} is no component of this deployment`);
        }
        const slot = `${component} ${target.pointer}`;
        if (taken.has(slot)) return document.refuse(at, `${target.pointer} is set twice there`);
        taken.add(slot);
      }
    }
  }
  return null;
}

function once(
  document: YamlDocument,
  values: readonly string[],
  path: (index: number) => YamlPath,
): Refused | null {
  const seen = new Set<string>();
  for (const [index, value] of values.entries()) {
    if (seen.has(value)) return document.refuse(path(index), `${quote(value)} stands twice`);
    seen.add(value);
  }
  return null;
}
