/**
 * What people and scripts read: aligned columns with colour for a terminal, `-o json|yaml|name|wide`
 * for scripts. No colour when stdout is no terminal or NO_COLOR is set (platform/terminal.ts).
 */
import Table from 'cli-table3';
import colours from 'picocolors';
import type { Fault } from '#errors/fault.ts';
import type { Terminal } from '#platform/terminal.ts';
import { writeYaml } from '#wire/yaml.ts';

export const FORMATS = ['text', 'wide', 'json', 'yaml', 'name'] as const;
export type Format = (typeof FORMATS)[number];

export interface Painter {
  good(text: string): string;
  bad(text: string): string;
  warn(text: string): string;
  dim(text: string): string;
  strong(text: string): string;
}

export function painter(terminal: Pick<Terminal, 'colour'>): Painter {
  const paint = colours.createColors(terminal.colour);
  return {
    good: paint.green,
    bad: paint.red,
    warn: paint.yellow,
    dim: paint.dim,
    strong: paint.bold,
  };
}

const NO_BORDERS = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
};

/** Aligned columns under a heading row; nothing for no rows. */
export function columns(head: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return '';
  const table = new Table({
    chars: NO_BORDERS,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  });
  for (const row of [head, ...rows]) table.push([...row]);
  return `${table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')}\n`;
}

/** `name: value` lines, the names aligned. */
export function pairs(rows: readonly (readonly [name: string, value: string])[]): string {
  const width = Math.max(0, ...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${`${name}:`.padEnd(width + 2)}${value}\n`).join('');
}

export function structured(format: 'json' | 'yaml', value: unknown): string {
  return format === 'json' ? `${JSON.stringify(value, null, 2)}\n` : writeYaml(value);
}

/** Code, message and remedy on stderr: what every failing command ends with. */
export function complain(
  terminal: Terminal,
  fault: Pick<Fault, 'code' | 'message' | 'remedy'>,
  level: 'error' | 'warning' = 'error',
): void {
  const paint = painter(terminal);
  const word = level === 'error' ? paint.bad(level) : paint.warn(level);
  terminal.err(`${word} ${fault.code}: ${fault.message}\n`);
  if (fault.remedy !== '') terminal.err(`${paint.dim('  →')} ${fault.remedy}\n`);
}

/** `3 s ago`, `5 min ago`; a time of 0 is unknown. */
export function ago(now: number, at: number): string {
  if (at <= 0) return '–';
  const seconds = Math.max(0, Math.round((now - at) / 1000));
  if (seconds < 120) return `${seconds} s ago`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86_400)} d ago`;
}

export function bytesText(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = '';
  for (const next of units) {
    if (value < 1024) break;
    value /= 1024;
    unit = next;
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${unit}`;
}

/** `sha256:` and 12 digits: enough for people. */
export function shortDigest(digest: string): string {
  return digest.slice(0, 'sha256:'.length + 12);
}
