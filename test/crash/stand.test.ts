/** What the replay of power cuts shows is the image that it was given, whatever else this machine does. */
import { afterAll, describe, expect, test } from 'bun:test';
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeStand } from '../power/mounting.ts';
import { noPower } from '../power/rig.ts';
import { endChild, output } from '../support/command.ts';
import { eventually } from '../support/eventually.ts';
import { scratch } from '../support/store.ts';

const place = scratch('stand');
const able = noPower === null ? test : test.skip;
const title = (what: string) => (noPower === null ? what : `${what} (${noPower})`);

afterAll(() => place.remove());

async function imageWith(text: string): Promise<Buffer> {
  const content = join(place.path, text);
  mkdirSync(content);
  writeFileSync(join(content, 'name'), text);
  const file = `${content}.img`;
  await output(['mke2fs', '-q', '-t', 'ext4', '-d', content, file, '4M']);
  return readFileSync(file);
}

describe('the mount of an image', () => {
  able(title('shows the next one although another namespace still holds it'), async () => {
    const [first, second] = [await imageWith('first'), await imageWith('second')];
    const stand = await makeStand(join(place.path, 'image'), first.length);
    const at = join(place.path, 'mount');
    const seen = () => readFileSync(join(at, 'name'), 'utf8');
    await stand.mount({ durable: first, pieces: [] }, at);
    const other = spawn('unshare', ['--mount', 'sleep', '1000'], { stdio: 'ignore' });
    try {
      expect(seen()).toBe('first');
      const own = readFileSync('/proc/self/mountinfo', 'utf8');
      await eventually('it has a copy', () => {
        const theirs = readFileSync(`/proc/${other.pid}/mountinfo`, 'utf8');
        return theirs.includes(at) && theirs !== own;
      });
      await stand.unmount();
      expect(await stand.mount({ durable: second, pieces: [] }, at)).toBe('mounted');
      expect(seen()).toBe('second');
      await stand.unmount();
      // And on the device that nobody else holds, again.
      await stand.mount({ durable: first, pieces: [] }, at);
      expect(seen()).toBe('first');
    } finally {
      await stand.unmount();
      await endChild(other, 'SIGKILL');
      await stand.remove();
    }
  });
});
