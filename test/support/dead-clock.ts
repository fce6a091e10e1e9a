/**
 * A wall clock that is wrong: libfaketime in front of a command, without its wrapper, which forks, and
 * fails where a killed process of the same id left its semaphore behind.
 */
import { Glob } from 'bun';

const [library = null] = [
  ...new Glob('*/faketime/libfaketime.so.1').scanSync({ cwd: '/usr/lib', absolute: true }),
];

/** Whether a clock can be made wrong here. */
export const faketime = library !== null;

/** What stands before a command whose clock starts at this time; its process stays the same. */
export function clockAt(time: string): readonly string[] {
  const wall = `FAKETIME=@${time}`;
  return ['env', `LD_PRELOAD=${library}`, wall, 'FAKETIME_DONT_FAKE_MONOTONIC=1'];
}

export const AT_1970 = clockAt('1970-01-02 00:00:00');
