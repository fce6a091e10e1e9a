/** Paths of the fleet folder, as text. Links on the way are the operator's own and are followed. */

/** A path as fleet.yaml has it: relative to the fleet folder. */
export function inFolder(directory: string, path: string): string {
  return path.startsWith('/') ? path : `${directory}/${path}`;
}

/** The part before the last slash, and what follows it. */
export function splitLast(path: string): { readonly directory: string; readonly name: string } {
  const at = path.lastIndexOf('/');
  return { directory: path.slice(0, Math.max(at, 1)), name: path.slice(at + 1) };
}
