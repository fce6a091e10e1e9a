/**
 * One device of the demo: an agent with a folder, a key and a store of its own. What it runs is read
 * back from outside the agent: the bytes of the file, the answer of the page, the status that the
 * device signed.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Child, Children } from './children.ts';
import { type Meter, openMeter } from './meter.ts';
import { CHANNEL, configPath, configText, type Version } from './plant.ts';

export interface Device {
  readonly name: string;
  readonly meter: Meter;
  readonly keyFile: string;
  readonly configFile: string;
  readonly url: string;
  start(): void;
  kill(): Promise<void>;
  /** A command of the running agent, as `holdfast status` on the device. */
  ask(args: readonly string[]): Promise<string>;
  hasFile(version: Version): boolean;
  /** What the page says, when it is the page of this version; else null. */
  page(version: Version): Promise<PageAnswer | null>;
  /** The end of the agent's log. */
  lastWords(): string;
}

export interface PageAnswer {
  /** of the program that answered */
  readonly pid: number;
}

export interface DeviceInput {
  readonly name: string;
  readonly folder: string;
  readonly children: Children;
  readonly root: string;
  readonly pagePort: number;
  readonly registryPort: number;
  readonly brokerPort: number;
  /** an HTTP proxy between agent and registry; null: none */
  readonly proxy: string | null;
}

const PAGE_MS = 1_000;
const LAST_WORDS = 12;

export async function newDevice(input: DeviceInput): Promise<Device> {
  const { name, folder, children } = input;
  const home = join(folder, 'devices', name);
  const [config, log, runDir] = [
    join(home, 'agent.yaml'),
    join(home, 'agent.log'),
    join(home, 'run'),
  ];
  const url = `http://127.0.0.1:${input.pagePort}/`;
  const meter = await openMeter(input.registryPort);
  mkdirSync(join(home, 'opt'), { recursive: true });
  writeFileSync(config, agentYaml(home, meter.port, input));
  let agent: Child | null = null;
  return {
    name,
    meter,
    url,
    keyFile: join(home, 'state/identity/device.key'),
    configFile: configPath(folder, name),
    start() {
      agent = children.start(['agent', '--config', config], log);
    },
    async kill() {
      await agent?.end('SIGKILL');
    },
    ask: ([command = '', ...rest]) => children.holdfast([command, ...rest, '--run-dir', runDir]),
    hasFile: (version) => textOf(configPath(folder, name)) === configText(version),
    page: (version) => askPage(url, name, version),
    lastWords: () => textOf(log).trimEnd().split('\n').slice(-LAST_WORDS).join('\n'),
  };
}

async function askPage(url: string, name: string, version: Version): Promise<PageAnswer | null> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(PAGE_MS) });
    const text = await answer.text();
    const pid = Number(/, process (\d+)\n/.exec(text)?.[1] ?? 0);
    return text === pageText(name, version, pid) ? { pid } : null;
  } catch {
    return null; // nobody answers
  }
}

/** As page.c writes it. */
function pageText(name: string, version: Version, pid: number): string {
  return (
    `<!doctype html><title>${name}</title><h1>${name}</h1>\n` +
    `<p>release ${version.release}, process ${pid}\n<pre>${configText(version)}</pre>\n`
  );
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

function agentYaml(home: string, registryPort: number, input: DeviceInput): string {
  const { name, root, pagePort, brokerPort, proxy } = input;
  const text = (value: string) => JSON.stringify(value);
  const through = proxy === null ? '' : `, proxy: ${text(proxy)}`;
  return `apiVersion: holdfast/v1
kind: Agent
device: { id: ${name}, labels: { port: "${pagePort}" } }
stateDir: ${text(join(home, 'state'))}
runDir: ${text(join(home, 'run'))}
trust: { root: ${text(root)}, allowDemo: true }
channels:
  - name: ${CHANNEL}
    allow: { roots: [${text(join(home, 'opt'))}], runtimes: [files, process] }
registries: [{ url: "http://127.0.0.1:${registryPort}/plant/state"${through} }]
mqtt: { url: "mqtt://127.0.0.1:${brokerPort}" }
nudges: { perMinute: 60 }
runtimes: { process: { allowRoot: ${process.getuid?.() === 0} } }
keep: { reserve: 16Mi }
`;
}
