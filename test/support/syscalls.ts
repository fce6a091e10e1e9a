/**
 * What a program asks of the kernel for its files, read from strace: which names it makes, which
 * bytes and names it makes durable, in order. Only the program's main thread, which does all file
 * work; paths through `/proc/self/fd/N` are resolved by what N was opened as.
 */
import { readFileSync } from 'node:fs';
import { program } from './parts.ts';

export const strace = program('strace');

const CALLS = [
  ...['openat', 'rename', 'renameat', 'renameat2', 'mkdir', 'mkdirat', 'symlink', 'symlinkat'],
  ...['write', 'writev', 'pwrite64', 'pwritev', 'copy_file_range', 'ftruncate'],
  ...['chmod', 'fchmod', 'fchmodat', 'chown', 'fchown', 'lchown', 'fchownat'],
  ...['fsync', 'fdatasync'],
];

export type FileCall =
  /** a name that was not there; `write` changes bytes, mode or owner */
  | { readonly kind: 'create' | 'mkdir' | 'symlink'; readonly path: string }
  | { readonly kind: 'rename'; readonly path: string; readonly from: string }
  | { readonly kind: 'write' | 'sync'; readonly path: string };

/** What stands before the program; the program itself stays the child (-D). */
export function traced(file: string): readonly string[] {
  const flags = ['-D', '-f', '-y', '-qq', '-s', '0', '-e', 'signal=none'];
  return [strace ?? '', ...flags, '-e', `trace=${CALLS.join(',')}`, '-o', file];
}

/** @param from  lines to leave out, as `linesOfTrace` counted them */
export function fileCalls(file: string, pid: number, from: number): readonly FileCall[] {
  const open = new Map<string, string>();
  const calls: FileCall[] = [];
  for (const [index, line] of readFileSync(file, 'latin1').split('\n').entries()) {
    const [, tid, rest = ''] = /^(\d+) +(.*)$/.exec(line) ?? [];
    if (tid !== String(pid)) continue;
    const call = read(rest, open);
    if (call && index >= from) calls.push(call);
  }
  return calls;
}

export function linesOfTrace(file: string): number {
  return readFileSync(file, 'latin1').split('\n').length - 1;
}

function read(line: string, open: Map<string, string>): FileCall | null {
  const name = /^(?:<\.\.\. )?(\w+)/.exec(line)?.[1] ?? '';
  const opened = /= (\d+)<([^>]*)>$/.exec(line);
  if (name === 'openat' && opened) {
    const [, fd = '', path = ''] = opened;
    open.set(fd, path);
    return line.includes('O_CREAT') ? { kind: 'create', path } : null;
  }
  if (line.startsWith('<...') || / = -1 /.test(line)) return null;
  const paths = [...line.matchAll(/"([^"]*)"/g)].map(([, path = '']) => resolved(path, open));
  const [first = '', second = ''] = paths;
  if (name.startsWith('rename')) return { kind: 'rename', from: first, path: second };
  if (name.startsWith('mkdir')) return { kind: 'mkdir', path: first };
  if (name.startsWith('symlink')) return { kind: 'symlink', path: second };
  if (/^f?l?ch(mod|own)/.test(name) && first !== '') return { kind: 'write', path: first };
  const path = /^\w+\(\d+<([^>]*)>/.exec(line)?.[1];
  if (path === undefined || !path.startsWith('/')) return null;
  if (name === 'fsync' || name === 'fdatasync') return { kind: 'sync', path };
  return name === 'openat' ? null : { kind: 'write', path };
}

function resolved(path: string, open: ReadonlyMap<string, string>): string {
  return path.replace(/^\/proc\/self\/fd\/(\d+)/, (whole, fd: string) => open.get(fd) ?? whole);
}
