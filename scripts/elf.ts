/**
 * What a Linux binary asks of the machine it starts on, read from its dynamic section: the machine,
 * the libraries, and the versions of glibc's symbols. Little-endian ELF64 only.
 * @see System V ABI chapters 4 and 5; LSB 5.0 Core, "Symbol Versioning" (Verneed)
 */
import { readFileSync } from 'node:fs';

export interface Elf {
  readonly machine: string;
  /** DT_NEEDED */
  readonly libraries: readonly string[];
  /** every version asked of a library, as `GLIBC_2.17` */
  readonly versions: readonly string[];
}

const SHT_DYNAMIC = 6;
const SHT_GNU_VERNEED = 0x6ffffffe;
const DT_NEEDED = 1n;
const MACHINES: ReadonlyMap<number, string> = new Map([
  [62, 'x86_64'],
  [183, 'aarch64'],
]);

interface Section {
  readonly type: number;
  readonly offset: number;
  readonly size: number;
  readonly link: number;
}

export function readElf(path: string): Elf {
  const bytes = readFileSync(path);
  if (bytes.readUInt32BE(0) !== 0x7f454c46 || bytes[4] !== 2 || bytes[5] !== 1) {
    throw new Error(`${path} is no little-endian ELF64 file`);
  }
  const table = Number(bytes.readBigUInt64LE(0x28));
  const entry = bytes.readUInt16LE(0x3a);
  const sections: Section[] = [];
  for (let index = 0; index < bytes.readUInt16LE(0x3c); index++) {
    const at = table + index * entry;
    sections.push({
      type: bytes.readUInt32LE(at + 4),
      offset: Number(bytes.readBigUInt64LE(at + 24)),
      size: Number(bytes.readBigUInt64LE(at + 32)),
      link: bytes.readUInt32LE(at + 40),
    });
  }
  const machine = bytes.readUInt16LE(18);
  return {
    machine: MACHINES.get(machine) ?? `machine ${machine}`,
    libraries: libraries(bytes, sections),
    versions: versions(bytes, sections),
  };
}

/** The string at `at` of the string table that `section` links to. */
function text(bytes: Buffer, sections: readonly Section[], section: Section, at: number): string {
  const strings = sections[section.link];
  if (strings === undefined) throw new Error('an ELF section without its string table');
  const start = strings.offset + at;
  return bytes.toString('latin1', start, bytes.indexOf(0, start));
}

function libraries(bytes: Buffer, sections: readonly Section[]): string[] {
  const found: string[] = [];
  for (const section of sections.filter(({ type }) => type === SHT_DYNAMIC)) {
    for (let at = section.offset; at < section.offset + section.size; at += 16) {
      if (bytes.readBigUInt64LE(at) !== DT_NEEDED) continue;
      found.push(text(bytes, sections, section, Number(bytes.readBigUInt64LE(at + 8))));
    }
  }
  return found;
}

function versions(bytes: Buffer, sections: readonly Section[]): string[] {
  const found = new Set<string>();
  for (const section of sections.filter(({ type }) => type === SHT_GNU_VERNEED)) {
    for (let need = section.offset, next = 1; next !== 0; need += next) {
      next = bytes.readUInt32LE(need + 12);
      let aux = need + bytes.readUInt32LE(need + 8);
      for (let left = bytes.readUInt16LE(need + 2); left > 0; left--) {
        found.add(text(bytes, sections, section, bytes.readUInt32LE(aux + 8)));
        aux += bytes.readUInt32LE(aux + 12);
      }
    }
  }
  return [...found];
}

/** Versions of glibc above `max` ("2.17"), and libraries that no minimal system has. */
export function tooNew(elf: Elf, max: string): readonly string[] {
  const limit = numbers(max);
  const above = elf.versions.filter((version) => {
    const [, dotted] = /^GLIBC_(\d+(?:\.\d+)*)$/.exec(version) ?? [];
    return dotted !== undefined && compare(numbers(dotted), limit) > 0;
  });
  return [...above, ...elf.libraries.filter((name) => /^lib(stdc\+\+|c\+\+|gcc_s)\.so/.test(name))];
}

function numbers(dotted: string): number[] {
  return dotted.split('.').map(Number);
}

function compare(left: readonly number[], right: readonly number[]): number {
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
