/** System errors as faults. */
import { describe, expect, test } from 'bun:test';
import { errnoFault } from '#platform/node/errno.ts';

describe('an errno becomes a fault that says what to do', () => {
  for (const [errno, code] of [
    ['ENOENT', 'platform.missing'],
    ['EEXIST', 'platform.exists'],
    ['EACCES', 'platform.denied'],
    ['EPERM', 'platform.denied'],
    ['ENOSPC', 'platform.no-space'],
    ['EDQUOT', 'platform.no-space'],
    ['EROFS', 'platform.read-only'],
    ['ELOOP', 'platform.link'],
    ['EXDEV', 'platform.other-filesystem'],
    ['ENOTEMPTY', 'platform.not-empty'],
    ['EMFILE', 'platform.handles'],
    ['ENFILE', 'platform.handles'],
    ['EIO', 'platform.io'],
    ['EANYTHING', 'platform.io'],
  ] as const) {
    test(`${errno}: ${code}, naming operation and path`, () => {
      const fault = errnoFault(Object.assign(new Error(errno), { code: errno }), 'open', '/a/b');
      expect(fault.code).toBe(code);
      expect(fault.message).toContain('/a/b');
    });
  }
});
