/** Exceptions of the operating system as faults: the one place that knows errno names. */
import { type Fault, fault, ok, type Refused, type Result, refused } from '#errors/fault.ts';

/** The errno name of a caught exception, `EIO` for one without (never a stack, never a path). */
export function errnoOf(error: unknown): string {
  if (typeof error === 'object' && error !== null && 'code' in error) {
    const { code } = error;
    if (typeof code === 'string') return code;
  }
  return 'EIO';
}

export function errnoFault(error: unknown, operation: string, path: string): Fault {
  const errno = errnoOf(error);
  const at = { operation, path };
  switch (errno) {
    case 'ENOENT':
      return fault('platform.missing', at);
    case 'EEXIST':
      return fault('platform.exists', at);
    case 'EACCES':
    case 'EPERM':
      return fault('platform.denied', at);
    case 'ENOSPC':
    case 'EDQUOT':
      return fault('platform.no-space', { ...at, errno });
    case 'EROFS':
      return fault('platform.read-only', at);
    case 'ELOOP':
      return fault('platform.link', at);
    case 'EXDEV':
      return fault('platform.other-filesystem', at);
    case 'ENOTDIR':
      return fault('platform.not-a-directory', at);
    case 'EISDIR':
      return fault('platform.not-a-file', at);
    case 'ENOTEMPTY':
      return fault('platform.not-empty', at);
    case 'EBUSY':
      return fault('platform.mount', at);
    case 'EMFILE':
    case 'ENFILE':
      return fault('platform.handles', { ...at, errno });
    case 'ENAMETOOLONG':
      return fault('platform.name', { operation, name: shortened(path) });
    default:
      return fault('platform.io', { ...at, errno });
  }
}

export function errnoRefused(error: unknown, operation: string, path: string): Refused {
  return refused(errnoFault(error, operation, path));
}

/** Runs one system call. Assertions pass through: they must stop the agent. */
export function attempt<T>(operation: string, path: string, call: () => T): Result<T> {
  try {
    return ok(call());
  } catch (error) {
    if (error instanceof Error && error.name === 'BrokenAssumption') throw error;
    return errnoRefused(error, operation, path);
  }
}

function shortened(path: string): string {
  return path.length <= 80 ? JSON.stringify(path) : `${JSON.stringify(path.slice(-80))} (end)`;
}
