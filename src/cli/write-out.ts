/** A file that a person named with `--out`: one that is there already is never written over. */
import type { Result } from '#errors/fault.ts';
import { splitLast } from '#publisher/place.ts';
import type { CliContext } from './context.ts';
import { resolvePath } from './paths.ts';

const FILE_MODE = 0o644;

/** @param path  as given, against the working directory */
export function writeOut(context: CliContext, path: string, bytes: Uint8Array): Result<void> {
  const { directory, name } = splitLast(resolvePath(context, path));
  const folder = context.platform.files.open(directory, { follow: true });
  if (!folder.ok) return folder;
  const wrote = folder.value.write(name, bytes, FILE_MODE);
  folder.value.close();
  return wrote;
}
