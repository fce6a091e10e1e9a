/** The variables of one component: the parameters whose targets name it, as Margo types them. */
import type { ComposeVariables } from '#state/compose.ts';
import type { Generation } from '#state/generation.ts';

/** Old documents write `ENV.NAME`. */
const OLD_PREFIX = /^ENV\./;

export function variablesOf(
  { deployment, values, secrets }: Generation,
  component: string,
): ComposeVariables {
  const plain = new Map<string, string>();
  const sealed = new Set<string>();
  for (const { parameter, variable } of targetsOf({ deployment }, component)) {
    const text = values.get(parameter);
    if (secrets?.has(parameter)) sealed.add(variable);
    else if (text !== undefined) plain.set(variable, text);
  }
  return { plain, sealed };
}

/** The parameter behind a variable; null: the document sets no such. */
export function parameterOf(
  of: Pick<Generation, 'deployment'>,
  component: string,
  variable: string,
) {
  return targetsOf(of, component).find((each) => each.variable === variable)?.parameter ?? null;
}

function targetsOf({ deployment }: Pick<Generation, 'deployment'>, component: string) {
  return deployment.parameters.flatMap(({ name, targets }) =>
    targets
      .filter(({ components }) => components.includes(component))
      .map(({ pointer }) => ({ parameter: name, variable: pointer.replace(OLD_PREFIX, '') })),
  );
}
