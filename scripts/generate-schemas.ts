/** docs/schemas from the schemas of the readers; a part of `npm run generate`. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { schemas } from '#cli/schema.ts';
import { schemaText } from '#publisher/schemas.ts';
import { ROOT } from './targets.ts';

const folder = join(ROOT, 'docs/schemas');
mkdirSync(folder, { recursive: true });
for (const [kind, schema] of schemas()) {
  writeFileSync(join(folder, `${kind}.schema.json`), schemaText(schema));
}
