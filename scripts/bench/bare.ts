/** Runs bare-program.ts (built by bench-programs.ts). */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Parts, type Servers, type Started, until } from './parts.ts';

export async function startBare(
  parts: Parts,
  { broker }: Servers,
  program: string,
): Promise<Started> {
  const folder = join(parts.device, 'bare');
  mkdirSync(folder);
  const bare = parts.start([program, String(broker), folder], 'bare');
  await until('the bare program is ready', () => {
    if (bare.ended()) throw new Error(bare.said());
    return bare.said().includes('ready\n');
  });
  return bare;
}
