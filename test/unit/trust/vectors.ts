/** Third-party vectors stay outside the project; a test without them says that it was skipped. */
import { existsSync, readFileSync } from 'node:fs';

const folder =
  process.env.HOLDFAST_VECTORS ?? new URL('../../../../shared/vectors', import.meta.url).pathname;

/** Bytes of one vector file, or null when the vectors are not here. */
export function vectorFile(name: string): Uint8Array | null {
  const path = `${folder}/${name}`;
  return existsSync(path) ? new Uint8Array(readFileSync(path)) : null;
}

export function vectorJson<T>(name: string): T | null {
  const bytes = vectorFile(name);
  return bytes ? (JSON.parse(new TextDecoder().decode(bytes)) as T) : null;
}

export function hex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'hex'));
}
