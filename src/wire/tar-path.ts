/**
 * Names inside archives and trees (rows D01–D03, D11, D13, D17, D23, B08). A name is accepted only
 * when every file system and every tool reads it as the same path below the directory it is
 * unpacked into: relative, normalised, UTF-8, no controls, no backslash, no drive, no name that is
 * reserved somewhere, and no other name that differs from it only in case or in composition.
 */
import { LIMITS } from '#state/limits.ts';
import { encodeText, hasControl } from './text.ts';

/** Names that are devices on the machines where trees are edited (row D23). */
const RESERVED = /^(?:con|prn|aux|nul|com[1-9]|lpt[1-9])(?:\..*)?$/i;
const DRIVE = /^[A-Za-z]:/;

/** The components of a relative path, or why it is refused. A trailing slash is the caller's. */
export function treePath(path: string): readonly string[] | { readonly reason: string } {
  if (path === '') return { reason: 'the name is empty' };
  if (path.startsWith('/')) return { reason: 'the name is absolute' };
  if (!path.isWellFormed() || hasControl(path)) return { reason: 'the name has controls in it' };
  if (path.includes('\\')) return { reason: 'the name has a backslash in it' };
  if (encodeText(path).length > LIMITS.treePathBytes) {
    return { reason: `the name is above ${LIMITS.treePathBytes} bytes` };
  }
  const parts = path.split('/');
  if (parts.length > LIMITS.treeDepth) return { reason: `deeper than ${LIMITS.treeDepth} levels` };
  for (const part of parts) {
    const reason = partProblem(part);
    if (reason !== null) return { reason };
  }
  return parts;
}

function partProblem(part: string): string | null {
  if (part === '' || part === '.' || part === '..') {
    return 'the name has an empty component, "." or ".." in it';
  }
  if (encodeText(part).length > LIMITS.treeNameBytes) {
    return `a component is above ${LIMITS.treeNameBytes} bytes`;
  }
  if (part.startsWith('.wh.')) return 'the name is a whiteout';
  if (DRIVE.test(part) || RESERVED.test(part)) return 'the name is reserved on other systems';
  return null;
}

export interface SeenPaths {
  /** Takes note of a path: the directories it implies, outermost first, or why it is refused. */
  add(
    path: readonly string[],
    kind: 'file' | 'directory',
  ): readonly (readonly string[])[] | { readonly reason: string };
}

/** Each path once, however it is spelled; what stands below a path is below a directory. */
export function seenPaths(): SeenPaths {
  const seen = new Map<string, { readonly name: string; readonly kind: 'file' | 'directory' }>();
  return {
    add(path, kind) {
      const implied: (readonly string[])[] = [];
      let key = '';
      for (const [index, name] of path.entries()) {
        key += `/${folded(name)}`;
        const leaf = index === path.length - 1;
        const known = seen.get(key);
        if (known === undefined) {
          seen.set(key, { name, kind: leaf ? kind : 'directory' });
          if (!leaf) implied.push(path.slice(0, index + 1));
        } else if (known.name !== name) {
          return { reason: 'another name differs only in case or composition' };
        } else if (leaf) {
          return { reason: 'the name stands twice, or after what lies in it' };
        } else if (known.kind !== 'directory') {
          return { reason: 'it lies below a file' };
        }
      }
      return implied;
    },
  };
}

/** Equal for names that a case-insensitive or normalising file system takes for one (row D11). */
function folded(name: string): string {
  return name.normalize('NFC').toUpperCase().toLowerCase().normalize('NFC');
}
