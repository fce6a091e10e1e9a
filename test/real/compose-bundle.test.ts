/**
 * Our own compose deployment from a stick, on a real Podman and a real Docker Engine: the images are part
 * of the signed state, no registry and no network is asked; the data volume survives the update.
 */
import { expect, test } from 'bun:test';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ENGINES } from '../support/container-engine.ts';
import { openDesk } from '../support/desk.ts';
import { eventually } from '../support/eventually.ts';
import { ROOT } from '../support/parts.ts';
import { type ContainerEngine, imageArchive, tinyImage } from '../support/podman.ts';

const SERVICE = 'com.docker.compose.service';

for (const { name, missing, start } of ENGINES) {
  const run = missing === null ? test.concurrent : test.skip;
  const why = missing === null ? '' : ` (${missing})`;
  run(
    `an application comes to ${name} from a stick with its images, is updated, and keeps its data${why}`,
    async () => story(await start()),
    60_000,
  );
}

async function story(engine: ContainerEngine): Promise<void> {
  const desk = openDesk();
  const folder = join(desk.folder, 'device');
  const channel = join(desk.folder, 'plant/channels/stable');
  const made = ['--demo', '--no-passphrase', '--no-examples', '--channel', 'stable'];
  await desk.json(['init', 'plant', ...made, '--registry', 'http://127.0.0.1:9/plant/state']);
  mkdirSync(join(channel, 'line'), { recursive: true });
  const shared = join(desk.folder, 'shared');
  for (const made of [folder, shared]) mkdirSync(made);
  writeFileSync(join(shared, 'plant'), 'seven');
  writeFileSync(join(channel, 'images.tar'), imageArchive({ 'tiny:1': tinyImage('stick') }));
  const config = {
    ...{ apiVersion: 'holdfast/v1', kind: 'Agent', device: { id: 'press-7' } },
    ...{ stateDir: join(folder, 'state'), runDir: join(folder, 'run') },
    trust: { root: join(desk.folder, 'plant/root/1.root.json'), allowDemo: true },
    channels: [
      {
        name: 'stable',
        allow: {
          ...{ roots: [join(folder, 'opt')], runtimes: ['compose'] },
          compose: { grants: ['capabilities'], paths: [shared] },
        },
      },
    ],
    runtimes: { compose: { engine: engine.kind, socket: engine.socket } },
    packages: { requireDigests: true },
  };
  writeFileSync(join(folder, 'agent.yaml'), JSON.stringify(config));
  const holdfast = [process.execPath, `${ROOT}/src/main.ts`];
  const started = Bun.spawn([...holdfast, 'agent', '--config', join(folder, 'agent.yaml')], {
    ...{ stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' },
  });
  const publish = async (version: string, image = 'tiny:1'): Promise<string> => {
    const web = `image: "${image}", cap_add: [NET_ADMIN], stop_signal: SIGKILL, environment: { VERSION: "${version}" }`;
    writeFileSync(
      join(channel, 'line/compose.yaml'),
      `services:\n  web: { ${web}, volumes: ["data:/data", "${shared}:/shared:ro"] }\nvolumes: { data: {} }\n`,
    );
    const components = [{ name: 'line', properties: { blob: 'line', images: ['images.tar'] } }];
    const spec = { deploymentProfile: { type: 'compose', components } };
    const document = { apiVersion: 'holdfast/v1', kind: 'Deployment', id: 'line', spec };
    writeFileSync(join(channel, 'line.yaml'), JSON.stringify(document));
    const stick = join(desk.folder, `stick-${version}`);
    await desk.json(['publish', 'stable', '-C', 'plant', '--to', `oci:${stick}`]);
    const ran = Bun.spawn([...holdfast, 'apply', stick, '--run-dir', config.runDir], {
      ...{ stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' },
    });
    const texts = [new Response(ran.stdout).text(), new Response(ran.stderr).text()];
    const said = (await Promise.all(texts)).join('');
    return `${await ran.exited} ${said}`;
  };
  const web = async () =>
    (await engine.containers()).find(({ labels }) => labels[SERVICE] === 'web')?.id ?? '';
  try {
    await eventually('it is ready', () => Bun.file(join(config.runDir, 'ready')).exists());
    expect(await publish('one')).toStartWith('0 ');
    engine.run('exec', await web(), 'sh', '-c', 'echo kept > /data/log');
    expect(await publish('two')).toStartWith('0 ');
    const now = await web();
    expect(engine.run('exec', now, 'cat', '/shared/plant').trim()).toBe('seven');
    expect(engine.run('exec', now, 'env')).toContain('VERSION=two');
    expect(engine.run('exec', now, 'cat', '/data/log').trim()).toBe('kept');
    // The owner wants digests: an image by its tag alone, that the state does not carry, is refused.
    expect(await publish('three', 'registry.example/tiny:2')).toContain('package.unpinned');
    expect(await web()).toBe(now);
  } finally {
    started.kill('SIGTERM');
    await started.exited;
    await engine.remove();
    desk.remove();
  }
}
