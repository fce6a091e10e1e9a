/**
 * Targets: what is read of other people's compose files, of the manifests of their images, and of what a
 * container engine says of itself.
 */
import { deploymentsIn } from '#apply/runtimes/compose-events.ts';
import { ok, type Result } from '#errors/fault.ts';
import { readCompose } from '#wire/compose.ts';
import { readImageManifest } from '#wire/image-manifest.ts';
import { imageText, readImageName } from '#wire/image-name.ts';
import { bytesOf } from '../support/wire-samples.ts';
import type { Target } from './engine.ts';
import { answerOf, promise } from './promises.ts';

const COMPOSE = `name: line
services:
  web:
    image: "r.example/web:\${TAG:-1}@sha256:${'a'.repeat(64)}"
    command: sh -c 'exec "$$HOME"'
    ports: ["127.0.0.1:8080-8081:80-81/udp", { target: 1, published: "2" }]
    environment: [A=1, "B=\${PORT:?port}"]
    env_file: a.env
    volumes: ["data:/data", "./conf:/etc/conf:ro", "/srv/x:/x"]
    depends_on: { db: { condition: service_healthy } }
    deploy: { resources: { limits: { cpus: "0.5", memory: 64M } } }
    secrets: [{ source: key, target: k, mode: "0400" }]
  db: { image: redis, restart: "on-failure:3", stop_grace_period: 1m30s, healthcheck: { test: x } }
volumes: { data: {} }
secrets: { key: { environment: SEALED } }
`;
const MANIFEST = JSON.stringify({
  ...{ schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json' },
  config: { mediaType: 'x', digest: `sha256:${'b'.repeat(64)}`, size: 2 },
  layers: [{ mediaType: 'x', digest: `sha256:${'c'.repeat(64)}`, size: 3 }],
});
const INDEX = JSON.stringify({
  schemaVersion: 2,
  manifests: [
    {
      ...{ mediaType: 'x', digest: `sha256:${'b'.repeat(64)}`, size: 2 },
      platform: { os: 'linux', architecture: 'arm64', variant: 'v8' },
    },
  ],
});

/** Whatever a file says: nothing leaves its package, and what reaches out is told as a need. */
function compose(input: Uint8Array): string {
  const variables = { plain: new Map([['PORT', '80']]), sealed: new Set(['SEALED']) };
  const read = readCompose({
    ...{ bytes: input, file: 'compose.yaml', variables },
    read: (path) => {
      promise(
        !path.some((part) => part === '..' || part.includes('/')),
        `inside: ${path.join('/')}`,
      );
      return 'A=1\n';
    },
  });
  if (!read.ok) return answerOf(read);
  const { services, needs } = read.value;
  for (const { name, mounts, host } of services) {
    const told = (of: string) =>
      needs.some(
        (need) => need.service === name && (need.kind === 'path' ? need.path : need.grant) === of,
      );
    promise(host.Privileged !== true || told('privileged'), 'privileged is told');
    for (const mount of mounts) {
      if (mount.kind === 'bind') promise(told(mount.path), `the path ${mount.path} is told`);
      if (mount.kind === 'package') promise(!mount.path.includes('..'), 'the package is not left');
    }
  }
  return answerOf(read as Result<unknown>);
}

const EVENT = `${JSON.stringify({
  ...{ Type: 'container', Action: 'die' },
  Actor: {
    ID: 'x',
    Attributes: { 'io.holdfast.store': 'own', 'io.holdfast.deployment': 'line', exitCode: '1' },
  },
})}\n`;

/** However it is cut into pieces, the same is heard; and nothing is longer than a line may be. */
async function events(input: Uint8Array): Promise<string> {
  const heard = async (at: number): Promise<readonly (string | null)[]> => {
    const pieces = async function* () {
      yield input.slice(0, at);
      yield input.slice(at);
    };
    const words: (string | null)[] = [];
    const from = { kind: 'docker', storeId: 'own' } as const;
    for await (const word of deploymentsIn(pieces(), from)) words.push(word);
    return words;
  };
  const words = await heard(0);
  for (const at of [1, input.length >> 1]) {
    promise(JSON.stringify(await heard(at)) === JSON.stringify(words), `cut at ${at}`);
  }
  promise(words.length <= input.length, 'a word for each line');
  return words.some((word) => word !== null) ? 'ok' : words.length > 0 ? 'other words' : 'none';
}

function imageName(input: Uint8Array): string {
  const name = readImageName(Buffer.from(input).toString('latin1'));
  if (name === null) return 'none';
  const text = imageText(name);
  promise(
    /^[A-Za-z0-9.:[\]-]+\/[a-z0-9._/-]+(?::[\w.-]+)?(?:@sha256:[0-9a-f]{64})?$/.test(text),
    text,
  );
  promise(!/(?:^|\/)\.\.(?:\/|$)/.test(text), text);
  return answerOf(ok(text));
}

const target = (name: string, seeds: readonly string[], run: Target['run']): Target => ({
  ...{ name, shape: 'text', seeds: seeds.map(bytesOf), run },
  ...{
    words: ['privileged: true', '../', '/etc', '${', '}', ':-', 'host', '@sha256:'],
    sizeMax: 16_384,
  },
});

export const CONTAINERS: readonly Target[] = [
  target('compose file', [COMPOSE], compose),
  target('manifest of an image', [MANIFEST, INDEX], (input) =>
    answerOf(readImageManifest(input, 'x')),
  ),
  target('name of an image', ['r.example:5000/a/b:1', 'nginx'], imageName),
  target('events of a container engine', [EVENT, EVENT.replace('die', 'exec_die')], events),
];
