/** What `doctor` says of containers: which engine answers, where, in which version; and what is open. */
import { describe, expect, test } from 'bun:test';
import type { AgentConfig } from '#agent/config.ts';
import { composeFindings } from '#agent/doctor-compose.ts';
import { bunPlatform } from '#platform/bun/platform.ts';
import { type Answer, scriptedHttp } from '../../support/scripted-http.ts';

const platform = bunPlatform({ logLevel: 'error', logFormat: 'json' });
const version = (name: string, Version: string): Answer => ({
  status: 200,
  body: JSON.stringify({
    ApiVersion: '1.41',
    Version,
    Arch: 'arm64',
    Components: [{ Name: name }],
  }),
});

async function found(
  answers: Readonly<Record<string, Answer>>,
  compose: Partial<AgentConfig['compose']> = {},
  registries: readonly string[] = [],
) {
  const asked = scriptedHttp(({ unixSocket = '' }) => answers[unixSocket] ?? { status: 404 });
  const config = {
    channels: [{ name: 'stable', allow: { runtimes: ['compose'] } }],
    compose: { socket: null, engine: 'auto', ...compose },
    packages: { registries, requireDigests: false },
    runDir: '/run/holdfast',
  } as unknown as AgentConfig;
  const findings = await composeFindings({ ...platform, http: asked.http }, config);
  return findings.map(({ severity, message }) => `${severity} ${message}`);
}

describe('doctor about containers', () => {
  const docker = { '/run/docker.sock': version('Engine', '20.10.24') };
  const podman = { '/run/podman/podman.sock': version('Podman Engine', '4.3.1') };

  test('names the engine, its version and its socket', async () => {
    const where = 'Docker Engine 20.10.24 (arm64) answers at /run/docker.sock';
    expect((await found(docker))[0]).toContain(where);
    expect((await found(podman))[0]).toContain('Podman 4.3.1 (arm64) answers at /run/podman/');
  });

  test('takes Podman first, unless the owner says which, or where', async () => {
    const both = { ...docker, ...podman, '/s': version('Engine', '27.1') };
    expect((await found(both))[0]).toContain('Podman');
    expect((await found(both, { engine: 'docker' }))[0]).toContain('Docker Engine 20.10');
    expect((await found(both, { socket: '/s' }))[0]).toContain('27.1 (arm64) answers at /s');
  });

  test('compose.engine-missing: says where it looked, and what to do, and starts none', async () => {
    const [finding = ''] = await found({}, { engine: 'docker' });
    expect(finding).toContain('no container engine answers (tried /run/docker.sock)');
  });

  test('says that no other registry is named', async () => {
    expect((await found(docker))[1]).toContain('images come from the registries of states alone');
    expect(await found(docker, {}, ['https://r'])).toHaveLength(1);
  });

  test('is silent where no channel may run containers', async () => {
    const config = { channels: [{ name: 'stable', allow: { runtimes: ['files'] } }] };
    expect(await composeFindings(platform, config as unknown as AgentConfig)).toEqual([]);
  });
});
