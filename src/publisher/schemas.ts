/** The schemas that a fleet folder brings along, so that editors know its files offline. */
import { deploymentSchema } from '#wire/holdfast-deployment.ts';
import { type JsonSchema, jsonSchema } from '#wire/json-schema.ts';
import { valuesSchema } from '#wire/values.ts';
import { fleetSchema } from './fleet-config.ts';

/** by kind, as `holdfast schema` and the names of the files have it */
export function fleetSchemas(): ReadonlyMap<string, JsonSchema> {
  return new Map([
    ['fleet', jsonSchema(fleetSchema, 'fleet.yaml of a Holdfast fleet folder')],
    ['deployment', jsonSchema(deploymentSchema, 'A deployment of Holdfast, holdfast/v1')],
    ['values', jsonSchema(valuesSchema, 'Values of one device, holdfast/v1')],
  ]);
}

export function schemaText(schema: JsonSchema): string {
  return `${JSON.stringify(schema, null, 2)}\n`;
}

/** In the fleet folder. */
export function schemaFile(kind: string): string {
  return `.schemas/${kind}.schema.json`;
}
