/** Targets: YAML in both dialects and the two configurations, headers of HTTP. */
import { parseConfig } from '#agent/config.ts';
import { mergeSections } from '#agent/own-configuration.ts';
import { readChallenges } from '#link/challenge.ts';
import { registry } from '#link/registry.ts';
import { RETRY_AFTER_MAX_MS, readRetryAfter } from '#link/retry-after.ts';
import { readFleetConfig } from '#publisher/fleet-config.ts';
import { sha256 } from '#state/digest.ts';
import { MEDIA } from '#state/media-types.ts';
import { readDeployment } from '#wire/deployment.ts';
import { openYaml } from '#wire/yaml-document.ts';
import { type Answer, scriptedHttp, scriptedLink } from '../support/scripted-http.ts';
import { bytesOf } from '../support/wire-samples.ts';
import type { Target } from './engine.ts';
import { answerOf, answerOfFault, promise } from './promises.ts';

const ID = '6f1c0a52-3b7e-4d0a-9a41-0d5f6c1e2b01';
const OWN = `apiVersion: holdfast/v1
kind: Deployment
id: line
spec:
  dependsOn: [base]
  deploymentProfile:
    type: files
    components:
      - name: conf
        properties: { blob: files/plc.conf, target: "/opt/line/\${site}.conf", mode: "0600", once: true }
    hooks: { reload: { command: [/bin/kill, -HUP, "1"], timeout: 3s } }
  parameters:
    site: { valueFrom: { deviceLabel: site } }
    port: { value: 8080, targets: [ { pointer: ENV.PORT, components: [conf] } ] }
  health:
    - { name: web, http: { url: "http://127.0.0.1:8080/", status: 200 }, startPeriod: 5s }
  data: [ { path: /srv/line, mode: "0700", onRemove: purge } ]
`;
const PROCESS = OWN.replace('type: files', 'type: process').replace(
  /blob:.*\}/,
  'blob: bin/x, env: { A: b } }',
);
const MARGO = `apiVersion: application.margo.org/v1alpha1
kind: ApplicationDeployment
metadata: { annotations: { id: ${ID}, applicationId: press }, name: press, namespace: a }
spec:
  deploymentProfile:
    type: compose
    components: [ { name: c, properties: { packageLocation: "https://x/y.tgz" } } ]
  parameters: { p: { value: 1, targets: [ { pointer: a.b, components: [c] } ] } }
`;
const AGENT = `apiVersion: holdfast/v1
kind: Agent
device: { id: press-7, labels: { site: a } }
trust: { root: /etc/holdfast/root.json, clock: strict }
channels: [ { name: stable, allow: { roots: [/opt/line], runtimes: [files], users: [plc] } } ]
registries: [ { url: "https://registry.example/plant/state", proxy: "http://proxy:3128" } ]
mqtt: { url: "mqtts://broker:8883", topicRoot: holdfast/v1/plant, protocol: "3.1.1" }
schedule: { interval: 5m, jitter: 0.2, backoffMax: 1h }
keep: { generations: 3, reserve: 64Mi }
`;
const SECTIONS = `apiVersion: holdfast/v1
kind: Agent
device: { labels: { site: b } }
registries: [ { url: "https://two.example/plant", auth: { tokenFile: /opt/line/token } } ]
mqtt: { url: "mqtts://two.example:8883" }
`;
const FLEET = `apiVersion: holdfast/v1
kind: Fleet
name: plant
registry: { url: "https://registry.example/plant/state" }
mqtt: { url: "mqtts://broker:8883" }
channels: { stable: { signers: [stable] }, canary: { signers: [canary] } }
`;
const ALIASES = 'a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b, { <<: {d: 1} }]\n';
/** bytes: the reader of YAML is the slowest of all, in proportion to them */
const YAML_MAX = 4_096;
const YAML_WORDS = [
  '!!js/function',
  '&a',
  '*a',
  '<<: *a',
  '!!binary',
  '? ',
  '| ',
  '>-\n',
  '%YAML 1.1\n',
  'no',
  '0777',
  '/etc/shadow',
  'trust: { root: /x }',
];

const where = { id: 'line', file: 'line.yaml' };
const deployment = (mediaType: string, id: string) => (input: Uint8Array) =>
  answerOf(readDeployment(input, mediaType, { ...where, id }));

/** Whatever a state brings, what is the owner's stays as he wrote it. */
function sections(input: Uint8Array): string {
  const file = '/etc/holdfast/agent.yaml';
  const merged = mergeSections(bytesOf(AGENT), input, { file, deployment: 'agent' });
  if (merged.ok) {
    const { device, trust, stateDir, channels, registries } = merged.value;
    promise(device.id === 'press-7' && trust.clock === 'strict', 'whose it is, whom it trusts');
    promise(stateDir === '/var/lib/holdfast' && channels.length === 1, 'where it lies');
    const tokens = registries.map(({ auth }) => auth && 'tokenFile' in auth && auth.tokenFile);
    promise(!tokens.includes('/etc/shadow'), 'a file of the owner');
  }
  return answerOf(merged);
}

const YAMLS: readonly Target[] = [
  ['YAML', [OWN, ALIASES], (input: Uint8Array) => answerOf(openYaml(input, 'x.yaml'))],
  ['deployment, own dialect', [OWN, PROCESS], deployment(MEDIA.deployment, 'line')],
  ['deployment, Margo', [MARGO, OWN], deployment(MEDIA.margoDeployment, ID)],
  ['agent.yaml', [AGENT], (input: Uint8Array) => answerOf(parseConfig(input, '/etc/agent.yaml'))],
  ['sections of a state', [SECTIONS], sections],
  ['fleet.yaml', [FLEET], (input: Uint8Array) => answerOf(readFleetConfig(input, '/fleet'))],
].map(([name, seeds, run]) => ({
  name: name as string,
  shape: 'text',
  seeds: (seeds as readonly string[]).map(bytesOf),
  words: YAML_WORDS,
  sizeMax: YAML_MAX,
  run: run as Target['run'],
}));

const text = (input: Uint8Array): string => Buffer.from(input).toString('latin1');

function challenges(input: Uint8Array): string {
  const result = readChallenges(text(input), 'registry:443');
  return answerOf(result);
}

function retryAfter(input: Uint8Array): string {
  const ms = readRetryAfter(text(input), 1_790_000_000_000);
  promise(ms === null || (ms >= 0 && ms <= RETRY_AFTER_MAX_MS), `a wait within its bounds: ${ms}`);
  return ms === null ? 'none' : 'ok';
}

/** A registry that answers this, asked by the real client. */
function client(answer: () => Answer) {
  const scripted = scriptedHttp(answer);
  const url = 'https://registry.example/plant/state';
  return registry(scriptedLink(scripted), {
    url,
    auth: null,
    tls: null,
    proxy: null,
    insecure: false,
  });
}

const digest = sha256(bytesOf('x'));
const BODY = '0123456789';
const OFFSET = 4;

/** A 206 is taken only where it says that it is the part that was asked for. */
async function contentRange(input: Uint8Array): Promise<string> {
  const headers = { 'content-range': text(input) };
  const from = client(() => ({ status: 206, headers, body: BODY.slice(OFFSET) }));
  for await (const part of from.blob(digest, OFFSET, BODY.length)) {
    if (part.kind === 'failed') return answerOfFault(part.fault);
    promise(/^bytes 0*4-\d+\/(\d+|\*)$/.test(text(input)), `not ${JSON.stringify(text(input))}`);
  }
  return 'ok';
}

/** Whatever Link says, pages end and nothing but this registry is asked: on the first, and on each. */
async function link(input: Uint8Array): Promise<string> {
  await tags(input, PAGES_MAX);
  return tags(input, 1);
}

const PAGES_MAX = 1_000;

/** The answer to a list of tags whose first `pages` pages have this header. */
async function tags(input: Uint8Array, pages: number): Promise<string> {
  const asked: string[] = [];
  const scripted = scriptedHttp(({ url }) => {
    asked.push(url);
    const headers = asked.length <= pages ? { link: text(input) } : {};
    return { status: 200, headers, body: `{"name":"plant/state","tags":["t${asked.length}"]}` };
  });
  const url = 'https://registry.example/plant/state';
  const own = { url, auth: null, tls: null, proxy: null, insecure: false };
  const listed = await registry(scriptedLink(scripted), own).tags();
  promise(asked.length < PAGES_MAX, `${asked.length} pages`);
  const elsewhere = asked.find((one) => !one.startsWith('https://registry.example/v2/'));
  promise(elsewhere === undefined, `asked ${elsewhere}`);
  return answerOf(listed);
}

const HEADERS: readonly Target[] = [
  {
    name: 'WWW-Authenticate',
    shape: 'text',
    seeds: [
      'Bearer realm="https://auth.example/token",service="registry",scope="repository:a/b:pull"',
      'Basic realm="r", charset="UTF-8", Negotiate abc==',
    ].map(bytesOf),
    words: ['Bearer ', 'Basic ', 'realm=', '\\"', ', ', 'error="x"'],
    run: challenges,
  },
  {
    name: 'Retry-After',
    shape: 'text',
    seeds: ['120', 'Wed, 21 Oct 2026 07:28:00 GMT', 'Wednesday, 21-Oct-26 07:28:00 GMT'].map(
      bytesOf,
    ),
    run: retryAfter,
  },
  {
    name: 'Content-Range',
    shape: 'text',
    seeds: ['bytes 4-9/10', 'bytes 4-9/*', 'bytes */10'].map(bytesOf),
    words: ['bytes ', '4-', '/10', '9007199254740993'],
    run: contentRange,
  },
  {
    name: 'Link',
    shape: 'text',
    seeds: [
      '</v2/plant/state/tags/list?last=x&n=1000>; rel="next"',
      '<https://other/x>; rel=next',
    ].map(bytesOf),
    words: ['<', '>', '; rel="next"', '//evil/', '?last=', 'https://registry.example/'],
    run: link,
  },
];

export const TEXTS: readonly Target[] = [...YAMLS, ...HEADERS];
