/**
 * Which containers were started since this machine was: `runDir/compose-started/<deployment>`, the boot's
 * id and a container in each line. What ran once and ended well is not run again by a repeated
 * activation, but is after a reboot. Losing the file costs one run of those.
 */
import { folderOf } from '#apply/folder-name.ts';
import type { Files } from '#platform/files.ts';
import type { Processes } from '#platform/processes.ts';
import type { ComposeEnv } from './compose-env.ts';

const FOLDER = 'compose-started';
const BYTES_MAX = 64 * 1024;
const LINES_MAX = 512;

export function startedContainers(
  files: Files,
  processes: Pick<Processes, 'bootId'>,
  runDir: string,
): Pick<ComposeEnv, 'startedHere' | 'noteStarted'> {
  const read = (deployment: string): readonly string[] => {
    const path = `${runDir}/${FOLDER}/${folderOf(deployment)}`;
    const bytes = files.readFile(path, BYTES_MAX);
    const [boot, ...ids] = bytes.ok ? Buffer.from(bytes.value).toString('utf8').split('\n') : [];
    return boot === processes.bootId() ? ids.filter((id) => id !== '') : [];
  };
  return {
    startedHere: (deployment, container) => read(deployment).includes(container),
    noteStarted(deployment, container) {
      const known = read(deployment);
      if (known.includes(container)) return;
      const folder = files.open(`${runDir}/${FOLDER}`, { follow: true, create: 0o700 });
      if (!folder.ok) return;
      const name = folderOf(deployment);
      const text = [processes.bootId(), ...[...known, container].slice(-LINES_MAX)].join('\n');
      folder.value.removeTree(`${name}.new`);
      const written = folder.value.write(`${name}.new`, Buffer.from(`${text}\n`), 0o600);
      if (written.ok) folder.value.rename(`${name}.new`, name);
      folder.value.close();
    },
  };
}
