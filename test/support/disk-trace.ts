/**
 * What programs did to a directory tree, bytes included, read from strace: the operations that a
 * power cut can tear apart. Files are inodes here, so that a rename takes its bytes along; paths
 * through `/proc/self/fd/N` are resolved by what strace says N is. Everything outside the tree is
 * left out, but lines that the program wrote to its standard output: those are its acknowledgements.
 */
import { readFileSync } from 'node:fs';
import { program } from './parts.ts';

export type DiskOp =
  | { readonly kind: 'mkdir' | 'create'; readonly in: number; name: string; inode: number }
  | { readonly kind: 'unlink'; readonly in: number; readonly name: string }
  | { readonly kind: 'rename'; from: Place; to: Place; inode: number; isDirectory: boolean }
  /** `durable` once it has returned: O_DSYNC */
  | { readonly kind: 'write'; inode: number; at: number; bytes: Buffer; durable: boolean }
  | { readonly kind: 'truncate'; readonly inode: number; readonly size: number }
  | { readonly kind: 'sync'; readonly inode: number }
  | { readonly kind: 'says'; readonly line: string };

/** A name in a directory. */
export interface Place {
  readonly in: number;
  readonly name: string;
}

/** The directory that is traced itself. */
export const TOP = 1;

const CALLS = [
  ...['openat', 'rename', 'renameat', 'renameat2', 'mkdir', 'mkdirat', 'unlink', 'unlinkat'],
  ...['rmdir', 'write', 'writev', 'pwrite64', 'pwritev', 'pwritev2', 'ftruncate', 'truncate'],
  ...['lseek', 'fsync', 'fdatasync', 'dup', 'dup2', 'dup3', 'fcntl'],
  // seen, they end the reading: the model does not know them
  ...['fallocate', 'copy_file_range', 'sendfile', 'link', 'linkat', 'symlink', 'symlinkat'],
];

/** What stands before the program. @param more  of strace */
export function tracedWithBytes(file: string, more: readonly string[] = []): readonly string[] {
  const flags = ['-f', '-y', '-xx', '-qq', '-s', '16777216', '-e', 'signal=none'];
  return [program('strace') ?? '', ...flags, '-e', `trace=${CALLS.join(',')}`, ...more, '-o', file];
}

interface Open {
  readonly inode: number;
  readonly durable: boolean;
  readonly append: boolean;
  at: number;
}

/** The tree as the traced programs saw it; several traces, one after the other, continue it. */
export interface TracedTree {
  readonly ops: readonly DiskOp[];
  /** Reads the trace of one program, started after those before it had ended. */
  read(file: string): void;
  /** Bytes that came into a file by no program; durable at once. */
  damage(path: string, bytes: Buffer): void;
}

interface Reading {
  readonly top: string;
  readonly ops: DiskOp[];
  /** directory inode → name → inode */
  readonly entries: Map<number, Map<string, number>>;
  readonly sizes: Map<number, number>;
  readonly open: Map<string, Open>;
  next: number;
}

export function makeTracedTree(top: string): TracedTree {
  const tree: Reading = {
    ...{ top, ops: [], entries: new Map([[TOP, new Map()]]), sizes: new Map() },
    ...{ open: new Map(), next: TOP + 1 },
  };
  return {
    ops: tree.ops,
    read: (file) => readTrace(tree, file),
    damage: (path, bytes) => damage(tree, path, bytes),
  };
}

function readTrace(tree: Reading, file: string): void {
  tree.open.clear();
  const begun = new Map<string, string>();
  for (const line of readFileSync(file, 'latin1').split('\n')) {
    const [, thread = '', rest = ''] = /^(\d+) +(.*)$/s.exec(line) ?? [];
    const half = / <unfinished \.\.\.>$/.exec(rest);
    if (half) {
      begun.set(thread, rest.slice(0, half.index));
      continue;
    }
    const resumed = /^<\.\.\. \w+ resumed>/.exec(rest);
    const whole = resumed ? `${begun.get(thread)}${rest.slice(resumed[0].length)}` : rest;
    take(tree, whole);
  }
}

function damage(tree: Reading, path: string, bytes: Buffer): void {
  const inode = inodeOf(tree, path);
  if (inode === null) throw new Error(`no ${path} to damage`);
  tree.ops.push({ kind: 'truncate', inode, size: 0 });
  tree.ops.push({ kind: 'write', inode, at: 0, bytes, durable: false });
  tree.ops.push({ kind: 'sync', inode });
  tree.sizes.set(inode, bytes.length);
}

function take(tree: Reading, call: string): void {
  const [, name = '', args = '', result = ''] = /^(\w+)\((.*)\) += (-?\d+)/s.exec(call) ?? [];
  if (name === '' || result.startsWith('-')) return;
  const fd = /^(\d+)</.exec(args)?.[1] ?? '';
  const open = tree.open.get(fd);
  if (name === 'openat') opened(tree, call, args, result);
  else if (name === 'mkdir' || name === 'mkdirat') made(tree, 'mkdir', placeOf(tree, args, 0));
  else if (name.startsWith('rename')) renamed(tree, args);
  else if (name.startsWith('unlink') || name === 'rmdir') unlinked(tree, args);
  else if (name.startsWith('dup') || name === 'fcntl') doubled(tree, call, open, result);
  else if (name === 'write' && fd === '1') said(tree, args);
  else if (open !== undefined) changed(tree, open, { name, args, result: Number(result) });
  else if (/^(fallocate|copy_file|sendfile|link|symlink)/.test(name) && args.includes(tree.top))
    throw new Error(`the model of the disk does not know ${name}`);
}

function opened(tree: Reading, call: string, args: string, fd: string): void {
  tree.open.delete(fd);
  const path = pathsOf(/= \d+(<.*>)$/s.exec(call)?.[1] ?? '')[0] ?? '';
  const place = split(tree, path);
  if (place === null && path !== tree.top) return;
  if (place && args.includes('O_CREAT') && lookup(tree, place) === null)
    made(tree, 'create', place);
  const inode = place === null ? TOP : lookup(tree, place);
  if (inode === null) return;
  if (args.includes('O_TRUNC')) {
    tree.sizes.set(inode, 0);
    tree.ops.push({ kind: 'truncate', inode, size: 0 });
  }
  const durable = /O_D?SYNC/.test(args);
  tree.open.set(fd, { inode, durable, append: args.includes('O_APPEND'), at: 0 });
}

function doubled(tree: Reading, call: string, open: Open | undefined, fd: string): void {
  if (call.startsWith('fcntl') && !call.includes('F_DUPFD')) return;
  if (open) tree.open.set(fd, open);
  else tree.open.delete(fd);
}

function changed(
  tree: Reading,
  open: Open,
  { name, args, result }: { name: string; args: string; result: number },
): void {
  const { inode } = open;
  if (name === 'fsync' || name === 'fdatasync') tree.ops.push({ kind: 'sync', inode });
  if (name === 'lseek') open.at = result;
  if (name === 'ftruncate') {
    const size = Number(/, (\d+)$/.exec(args)?.[1]);
    tree.sizes.set(inode, size);
    tree.ops.push({ kind: 'truncate', inode, size });
  }
  if (!/^p?writev?2?(64)?$/.test(name)) return;
  const bytes = Buffer.concat(stringsOf(args)).subarray(0, result);
  const positioned = name.startsWith('p');
  const tail = name === 'pwritev2' ? /, (\d+), \w+$/ : /, (\d+)$/;
  const end = tree.sizes.get(inode) ?? 0;
  const at = positioned ? Number(tail.exec(args)?.[1]) : open.append ? end : open.at;
  if (bytes.length !== result || !Number.isSafeInteger(at)) throw new Error(`unread: ${name}`);
  if (!positioned) open.at = at + bytes.length;
  tree.sizes.set(inode, Math.max(end, at + bytes.length));
  tree.ops.push({ kind: 'write', inode, at, bytes, durable: open.durable });
}

function said(tree: Reading, args: string): void {
  const text = Buffer.concat(stringsOf(args)).toString();
  for (const line of text.split('\n').filter(Boolean)) tree.ops.push({ kind: 'says', line });
}

function made(tree: Reading, kind: 'mkdir' | 'create', place: Place | null): void {
  if (place === null || lookup(tree, place) !== null) return;
  const inode = tree.next++;
  tree.entries.get(place.in)?.set(place.name, inode);
  if (kind === 'mkdir') tree.entries.set(inode, new Map());
  tree.ops.push({ kind, ...place, inode });
}

function renamed(tree: Reading, args: string): void {
  const [from, to] = [placeOf(tree, args, 0), placeOf(tree, args, 1)];
  if (from === null && to === null) return;
  const inode = from && lookup(tree, from);
  if (!from || !to || inode === null) throw new Error('a rename across the edge of the tree');
  tree.entries.get(from.in)?.delete(from.name);
  tree.entries.get(to.in)?.set(to.name, inode);
  tree.ops.push({ kind: 'rename', from, to, inode, isDirectory: tree.entries.has(inode) });
}

function unlinked(tree: Reading, args: string): void {
  const place = placeOf(tree, args, 0);
  if (place === null || lookup(tree, place) === null) return;
  tree.entries.get(place.in)?.delete(place.name);
  tree.ops.push({ kind: 'unlink', ...place });
}

/** The n-th path among the arguments, with the directory that it is relative to. */
function placeOf(tree: Reading, args: string, index: number): Place | null {
  const named = [...args.matchAll(/(?:(\w+)<([^>]*)>, )?"((?:\\x[0-9a-f]{2})*)"/gs)][index];
  const [, , base = '', hex = ''] = named ?? [];
  const path = unhex(hex).toString();
  const through = /^\/proc\/self\/fd\/(\d+)(?:\/(.*))?$/.exec(path);
  if (through) {
    const open = tree.open.get(through[1] ?? '');
    if (open === undefined || through[2] === undefined) return null;
    return below(tree, open.inode, through[2]);
  }
  const under = unhex(base).toString();
  return split(tree, path.startsWith('/') ? path : `${under}/${path}`);
}

function split(tree: Reading, path: string): Place | null {
  if (!path.startsWith(`${tree.top}/`)) return null;
  return below(tree, TOP, path.slice(tree.top.length + 1));
}

function below(tree: Reading, from: number, path: string): Place | null {
  const names = path.split('/').filter((name) => name !== '' && name !== '.');
  const last = names.pop();
  let at: number | undefined = from;
  for (const name of names) at = at === undefined ? at : tree.entries.get(at)?.get(name);
  return at === undefined || last === undefined ? null : { in: at, name: last };
}

function lookup(tree: Reading, place: Place): number | null {
  return tree.entries.get(place.in)?.get(place.name) ?? null;
}

function inodeOf(tree: Reading, path: string): number | null {
  const place = below(tree, TOP, path);
  return place && lookup(tree, place);
}
function unhex(escaped: string): Buffer {
  return Buffer.from(escaped.replaceAll('\\x', ''), 'hex');
}

function stringsOf(args: string): readonly Buffer[] {
  // What strace says of the descriptor stands in <>, so every quoted string is data.
  return [...args.matchAll(/"((?:\\x[0-9a-f]{2})*)"/gs)].map(([, hex = '']) => unhex(hex));
}

/** strace puts `(deleted)` behind the path of a file that has no name any more. */
function pathsOf(text: string): readonly string[] {
  return [...text.matchAll(/<([^>]*)>/gs)].map(([, hex = '']) => unhex(hex).toString());
}
