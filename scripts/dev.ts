/**
 * `npm run dev`: a hub and an agent from source, both started again when a file of src/ is saved.
 * Everything lies in .cache/dev and stays there; remove the folder to begin anew. Programs that the
 * agent runs go on over its restarts, as on a device, and are ended with Ctrl-C.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './run.ts';
import { CACHE, ROOT } from './targets.ts';

const HOME = join(CACHE, 'dev');
const PLANT = join(HOME, 'plant');
const MAIN = join(ROOT, 'src/main.ts');
const CHANNEL = 'canary';
const REGISTRY_PORT = 5080;
const MQTT_PORT = 1883;
/** ms without a further change, before a restart: an editor saves several files at once */
const QUIET_MS = 200;

async function main(): Promise<void> {
  mkdirSync(HOME, { recursive: true });
  if (!existsSync(join(PLANT, 'fleet.yaml'))) await newPlant();
  writeFileSync(join(HOME, 'agent.yaml'), agentYaml());
  const ports = ['--registry-port', `${REGISTRY_PORT}`, '--mqtt-port', `${MQTT_PORT}`];
  const all = [
    supervised('hub', ['hub', '--data', join(HOME, 'hub'), ...ports]),
    supervised('agent', ['agent', '--config', join(HOME, 'agent.yaml')]),
  ];
  let waiting: ReturnType<typeof setTimeout> | undefined;
  watch(join(ROOT, 'src'), { recursive: true }, (_, file) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      console.log(`dev    ${file ?? 'src'} was saved: starting again`);
      for (const one of all) one.restart();
    }, QUIET_MS);
  });
  const here = (path: string) => path.slice(ROOT.length + 1);
  console.log(`dev    publish:  bun src/main.ts publish ${CHANNEL} --fleet ${here(PLANT)}`);
  console.log(`dev    look:     bun src/main.ts status --run-dir ${here(join(HOME, 'run'))}`);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      clearTimeout(waiting);
      void end(all);
    });
  }
}

interface Supervised {
  restart(): void;
  end(): Promise<void>;
}

/** Runs until `end`; a crash is shown, and the next save starts it again. */
function supervised(name: string, args: readonly string[]): Supervised {
  const start = () => {
    const child = Bun.spawn([process.execPath, MAIN, ...args], {
      cwd: ROOT,
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'pipe',
      detached: true,
    });
    for (const from of [child.stdout, child.stderr]) void show(name, from);
    return child;
  };
  let child = start();
  let turn: Promise<unknown> = Promise.resolve();
  const stop = async () => {
    child.kill('SIGTERM');
    await child.exited;
  };
  return {
    restart() {
      turn = turn.then(stop).then(() => {
        child = start();
      });
    },
    async end() {
      await turn;
      await stop();
    },
  };
}

async function show(name: string, from: ReadableStream<Uint8Array>): Promise<void> {
  let rest = '';
  for await (const chunk of from) {
    const lines = `${rest}${Buffer.from(chunk).toString()}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) console.log(`${name.padEnd(6)} ${line}`);
  }
}

/** Programs first: they would outlive the agent. */
async function end(all: readonly Supervised[]): Promise<void> {
  const stop = [process.execPath, MAIN, 'stop', '--run-dir', join(HOME, 'run')];
  await run(stop, { mayFail: true });
  await Promise.all(all.map((one) => one.end()));
  process.exit(0);
}

/** The examples of `init`, with their targets in the folder of dev. */
async function newPlant(): Promise<void> {
  const registry = `http://127.0.0.1:${REGISTRY_PORT}/plant/state`;
  const where = ['--registry', registry, '--mqtt', `mqtt://127.0.0.1:${MQTT_PORT}`];
  const init = ['init', PLANT, '--demo', '--no-passphrase', ...where];
  await run([process.execPath, MAIN, ...init]);
  for (const channel of readdirSync(join(PLANT, 'channels'))) {
    const file = join(PLANT, 'channels', channel, 'hello-files.yaml');
    const text = readFileSync(file, 'utf8');
    writeFileSync(file, text.replaceAll('/opt/hello', join(HOME, 'opt')));
  }
}

function agentYaml(): string {
  return `apiVersion: holdfast/v1
kind: Agent
device: { id: dev, labels: { site: bench } }
stateDir: ${JSON.stringify(join(HOME, 'state'))}
runDir: ${JSON.stringify(join(HOME, 'run'))}
trust: { root: ${JSON.stringify(join(PLANT, 'root/1.root.json'))}, allowDemo: true }
channels: [{ name: ${CHANNEL}, allow: { roots: [${JSON.stringify(join(HOME, 'opt'))}] } }]
registries: [{ url: "http://127.0.0.1:${REGISTRY_PORT}/plant/state" }]
mqtt: { url: "mqtt://127.0.0.1:${MQTT_PORT}" }
runtimes: { process: { allowRoot: ${process.getuid?.() === 0} } }
log: { format: human }
`;
}

await main();
