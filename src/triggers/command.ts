/** Wakes because somebody on the device asked: `holdfast apply`, with or without a bundle. */
import type { Trigger, Wake } from './trigger.ts';

export interface Command extends Trigger {
  /** Look now. */
  look(): void;
  /** Look at this bundle: an image layout, directory or tar. */
  bundle(path: string): void;
}

export function command(): Command {
  const listeners = new Set<(wake: Wake) => void>();
  function tell(wake: Wake): void {
    for (const listener of listeners) listener(wake);
  }
  return {
    name: 'command',
    start(wake) {
      listeners.add(wake);
      return () => void listeners.delete(wake);
    },
    look: () => tell({ kind: 'command' }),
    bundle: (path) => tell({ kind: 'bundle', path }),
  };
}
