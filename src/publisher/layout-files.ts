/** The files of an image layout, whether it is a directory or lies in an archive. */
import type { Result } from '#errors/fault.ts';

/** By path below the layout. */
export interface LayoutFiles {
  read(path: string, cap: number): Result<Uint8Array>;
  chunks(path: string, size: number): Iterable<Result<Uint8Array>>;
}
