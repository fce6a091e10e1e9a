/** What the kernel's table of mounts says of a path. */
import { describe, expect, test } from 'bun:test';
import { mountOf, parseMountTable } from '#platform/mount-table.ts';

const TABLE = `22 1 0:20 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:31 / /opt/with\\040blank ro,nosuid - tmpfs tmpfs rw
31 22 0:32 / /data rw - ext4 /dev/sdb1 ro,errors=remount-ro
32 22 0:33 / /data/rw rw - ext4 /dev/sdc1 rw
33 22 0:34 / /opt/twice ro - tmpfs a ro
34 33 0:35 / /opt/twice rw - tmpfs b rw
`;

describe('the table of mounts', () => {
  const table = parseMountTable(TABLE);
  for (const [path, readOnly, type] of [
    ['/opt/hello', false, 'ext4'],
    ['/opt/with blank/hello', true, 'tmpfs'],
    ['/opt/with blankets', false, 'ext4'],
    ['/data', true, 'ext4'],
    ['/data/rw/a', false, 'ext4'],
    ['/opt/twice/a', false, 'tmpfs'],
  ] as const) {
    test(`${path} is ${type}, and ${readOnly ? 'read-only' : 'can be written'}`, () => {
      expect(mountOf(table, path)).toMatchObject({ readOnly, type });
    });
  }

  test('what is no table is no mount', () => {
    expect(mountOf(parseMountTable('nonsense\n\n'), '/')).toBeNull();
  });
});
