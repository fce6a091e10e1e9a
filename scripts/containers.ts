/**
 * `npm run containers`: everything about containers, on a real Podman and a real Docker Engine, also what
 * `npm test` has no time for: the whole contract of runtimes, and a kill in each phase.
 */
import { Glob } from 'bun';
import { ROOT } from './targets.ts';
import { provide } from './test-parts.ts';

await provide();
const files = [...new Glob('test/{contract,real}/*compose*.test.ts').scanSync(ROOT)].sort();
const child = Bun.spawn(
  [process.execPath, 'test', ...files.map((file) => `./${file}`), '--timeout=170000'],
  {
    ...{ cwd: ROOT, stdin: 'ignore', stdout: 'inherit', stderr: 'inherit' },
    env: { ...process.env, HOLDFAST_CONTAINERS: 'all' },
  },
);
process.exit(await child.exited);
