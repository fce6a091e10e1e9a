/** From a component to the program that is started: where its files are, argv, environment. */
import type { WantedTree } from '#apply/generations.ts';
import { assert } from '#errors/fault.ts';
import type { ProcessComponent } from '#state/deployment.ts';
import type { Generation, GenerationBlob } from '#state/generation.ts';
import { fillPlaceholders } from '#state/placeholder.ts';

export function processProfile({ id, deployment }: Generation) {
  assert(deployment.profile.kind === 'process', `${id} is no process deployment`);
  return deployment.profile;
}

export function blobOf({ id, blobs }: Generation, { blob }: ProcessComponent): GenerationBlob {
  const found = blobs.get(blob);
  assert(found, `${id}: blob ${blob} is not resolved`);
  return found;
}

/** Programs belong to the agent's user: what runs cannot change its own files. */
export function programTree(generation: Generation, component: ProcessComponent): WantedTree {
  return {
    generation: generation.digest,
    component: component.name,
    blob: blobOf(generation, component),
    fileName: baseName(component.blob),
    owner: null,
  };
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** argv. A single file is its own program, whatever path of the fleet folder names it. */
export function commandOf(
  { values, ...generation }: Generation,
  component: ProcessComponent,
  directory: string,
): readonly string[] {
  const [program = component.blob, ...args] = component.command;
  const { tree } = blobOf({ values, ...generation }, component);
  const file = program.startsWith('/')
    ? program
    : `${directory}/${tree ? program : baseName(program)}`;
  return [file, ...args.map((text) => fillPlaceholders(text, values))];
}

/** The whole environment: nothing of the agent's own, and the identity cannot be overridden. */
export function environmentOf(
  { deployment, values }: Generation,
  component: ProcessComponent,
  token: string,
): Readonly<Record<string, string>> {
  const env: Record<string, string> = {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    LANG: 'C.UTF-8',
  };
  for (const { name, targets } of deployment.parameters) {
    for (const { pointer, components, as } of targets) {
      const value = values.get(name);
      if (value !== undefined && as !== 'file' && components.includes(component.name))
        env[pointer] = value;
    }
  }
  for (const [name, text] of Object.entries(component.env))
    env[name] = fillPlaceholders(text, values);
  return { ...env, HOLDFAST_INSTANCE: token, HOLDFAST_COMPONENT: component.name };
}
