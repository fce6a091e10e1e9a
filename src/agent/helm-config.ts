/**
 * agent.yaml, `runtimes.helm`: the cluster that charts are installed into, and where helm is. Without the
 * section the device offers no charts, whatever a channel may run.
 */
import * as v from 'valibot';
import type { HelmSettings } from '#apply/runtimes/helm-program.ts';

const absolute = v.pipe(v.string(), v.regex(/^\/[^\0]*$/, 'an absolute path'));
const namespace = v.pipe(
  v.string(),
  v.regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, 'the name of a namespace'),
);

export const helmSchema = v.optional(
  v.strictObject({
    kubeconfig: v.pipe(v.string(), v.nonEmpty('a path')),
    context: v.optional(v.pipe(v.string(), v.nonEmpty('the name of a context'))),
    path: v.optional(absolute),
    namespaces: v.optional(v.pipe(v.array(namespace), v.minLength(1, 'at least one namespace'))),
  }),
);

export function helmOf(
  read: v.InferOutput<typeof helmSchema>,
  at: (name: string) => string,
): HelmSettings | null {
  if (!read) return null;
  const { kubeconfig, context, path, namespaces } = read;
  return {
    ...{ path: path ?? null, kubeconfig: at(kubeconfig) },
    ...{ context: context ?? null, namespaces: namespaces ?? null },
  };
}
