/** `holdfast schema KIND`: JSON Schema of a file that people write, for editors and CI. */
import { Argument, type Command } from 'commander';
import { agentSchema } from '#agent/config.ts';
import { fleetSchemas, schemaText } from '#publisher/schemas.ts';
import { type JsonSchema, jsonSchema } from '#wire/json-schema.ts';
import type { CliContext } from './context.ts';
import { EXIT } from './exit.ts';

const SCHEMA_KINDS = ['fleet', 'deployment', 'values', 'agent'] as const;

export function schemas(): ReadonlyMap<string, JsonSchema> {
  return new Map([
    ...fleetSchemas(),
    ['agent', jsonSchema(agentSchema, 'agent.yaml of a Holdfast device')],
  ]);
}

export function registerSchema(program: Command, context: CliContext): void {
  program
    .command('schema')
    .description('JSON Schema of fleet.yaml, a deployment, values or agent.yaml, for editors')
    .addArgument(new Argument('<kind>').choices(SCHEMA_KINDS))
    .action((kind: string) => {
      const schema = schemas().get(kind);
      context.terminal.out(schema ? schemaText(schema) : '');
      context.exit(EXIT.done);
    });
}
