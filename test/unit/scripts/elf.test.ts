/** What a binary asks of its machine, as the build gates read it. */
import { describe, expect, test } from 'bun:test';
import { readElf, tooNew } from '../../../scripts/elf.ts';

describe('versions above the limit', () => {
  const elf = { machine: 'x86_64', libraries: ['libc.so.6'], versions: [] };
  for (const [versions, above] of [
    [['GLIBC_2.2.5', 'GLIBC_2.17'], []],
    [['GLIBC_2.18'], ['GLIBC_2.18']],
    [['GLIBC_2.9', 'GLIBC_2.34'], ['GLIBC_2.34']],
    [['GLIBC_3.0'], ['GLIBC_3.0']],
    [['GLIBC_2.17.1'], ['GLIBC_2.17.1']],
    [['GLIBC_PRIVATE', 'GCC_3.0'], []],
  ] as const) {
    test(`${versions.join(', ')} over 2.17: ${above.join(', ') || 'none'}`, () => {
      expect(tooNew({ ...elf, versions }, '2.17')).toEqual([...above]);
    });
  }

  test('a C++ library counts as too new', () => {
    const libraries = ['libc.so.6', 'libstdc++.so.6', 'libgcc_s.so.1'];
    expect(tooNew({ ...elf, libraries }, '2.17')).toEqual(['libstdc++.so.6', 'libgcc_s.so.1']);
  });
});

test('the running runtime is read as it is', () => {
  const elf = readElf(process.execPath);
  expect(elf.machine).toBe(process.arch === 'x64' ? 'x86_64' : 'aarch64');
  expect(elf.libraries).toContain('libc.so.6');
  expect(elf.versions.some((version) => version.startsWith('GLIBC_2.'))).toBe(true);
});

test('what is no ELF file is refused', () => {
  expect(() => readElf(import.meta.path)).toThrow('no little-endian ELF64 file');
});
