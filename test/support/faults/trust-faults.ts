/** Faults of what is published: by whom, for whom, under which name. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { output } from '../command.ts';
import { holdfast } from '../device.ts';
import { eventually } from '../eventually.ts';
import { filesSpec, type Plant, processSpec } from '../plant.ts';
import { type Fault, looked, publishFile, reconfigured, settled } from './world.ts';

async function command(plant: Plant, ...args: readonly string[]): Promise<string> {
  const ended = await plant.holdfast(args);
  if (ended.code !== 0) throw new Error(`${args.join(' ')}: ${ended.err}${ended.out}`);
  return ended.out;
}

/** The key of canary is replaced by another one, in the root and in fleet.yaml. */
async function replaceKey(plant: Plant): Promise<void> {
  await command(plant, 'key', 'create', 'fresh', '--no-passphrase');
  const file = join(plant.fleetFolder, 'fleet.yaml');
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, text.replace(/( canary:\s+signers: )\[.*?\]/, '$1[fresh]'));
  await command(plant, 'root', 'add-key', 'fresh', '--role', 'channel.canary');
  await command(plant, 'root', 'remove-key', 'canary');
  const request = JSON.parse(await command(plant, 'root', 'request', '-o', 'json')) as {
    readonly file: string;
  };
  await command(plant, 'root', 'sign', request.file, '--key', 'keys/root/root-1.pem', '-y');
  await command(plant, 'root', 'publish');
}

export const TRUST_FAULTS: readonly Fault[] = [
  {
    name: 'wrong channel',
    cause: /the root names no channel "beta" \(it has: canary, stable\)/,
    cure: /Correct channels\[\]\.name/,
    async plant({ shared }) {
      const device = shared.device('press-channel', {
        channel: 'beta',
        settings: { mqtt: undefined },
      });
      await looked(device);
      return device;
    },
  },
  {
    name: 'nothing was published yet',
    cause: /nothing was found for channel "stable"|has no stable/,
    cure: /Publish to it/,
    async plant({ shared }) {
      const settings = { mqtt: undefined };
      const device = shared.device('press-empty', { channel: 'stable', settings });
      await looked(device);
      return device;
    },
  },
  {
    name: 'revoked key',
    cause: /trust\.threshold: .*channel\.canary.*key [0-9a-f]{8} is unknown to root 2: revoked/,
    cure: /Sign with the keys that the root names/,
    async plant(world) {
      const plant = await world.plant();
      const device = await settled(plant, 'press-revoked');
      const stolen = join(plant.folder, 'stolen');
      cpSync(plant.fleetFolder, stolen, { recursive: true });
      await replaceKey(plant);
      await device.command(['apply']);
      await eventually(
        'the new root',
        async () => (await device.status()).device.rootVersion === '2',
      );
      writeFileSync(join(stolen, 'channels/canary/conf'), 'by the old key\n');
      const bundle = join(plant.folder, 'bundle');
      await output([holdfast, 'publish', 'canary', '-y', '--to', `oci:${bundle}`], { cwd: stolen });
      await device.command(['apply', bundle]);
      return device;
    },
  },
  {
    name: 'wrong fleet',
    cause: /trust\.threshold: .*unknown to root 1: revoked, or of another fleet/,
    cure: /correct the url, or trust\.root/,
    async plant(world) {
      const other = await world.plant();
      const device = world.shared.device('press-fleet', {
        settings: { mqtt: undefined, registries: [{ url: other.registry }] },
      });
      publishFile(other, join(device.opt, 'conf'), 'theirs');
      await other.publish('canary');
      await looked(device);
      return device;
    },
  },
  {
    name: 'not addressed to this device',
    cause: /trust\.not-addressed: not for press-aside/,
    cure: /unless the device should have been in the audience/,
    async plant(world) {
      const channels = {
        canary: { signers: ['canary'], audience: { devices: ['press-other'] } },
      };
      const plant = await world.plant({ channels: ['canary'], settings: { channels } });
      const device = plant.device('press-aside', { settings: { mqtt: undefined } });
      publishFile(plant, join(device.opt, 'conf'), 'one');
      await plant.publish('canary');
      await looked(device);
      return device;
    },
  },
  {
    name: 'target outside the allowed roots',
    cause: /plan\.target-outside-roots: conf: target \/etc\/holdfast-no-such/,
    cure: /allow\.roots/,
    async plant(world) {
      const plant = await world.plant();
      const device = plant.device('press-outside', { settings: { mqtt: undefined } });
      publishFile(plant, '/etc/holdfast-no-such/conf', 'one');
      await plant.publish('canary');
      await looked(device);
      return device;
    },
  },
  {
    name: 'two channels want one target',
    cause: /plan\.conflict: conf \(channel canary\) and mine \(channel stable\) both want/,
    cure: /free when a state of it without it is applied/,
    async plant(world) {
      const plant = await world.plant();
      const device = plant.device('press-two', { settings: { mqtt: undefined } });
      const allow = { roots: [device.opt] };
      device.configure({ channels: ['canary', 'stable'].map((name) => ({ name, allow })) });
      const target = join(device.opt, 'conf');
      publishFile(plant, target, 'one');
      await plant.publish('canary');
      await looked(device);
      plant.write('stable', 'mine', 'two\n');
      plant.deploy('stable', 'mine', filesSpec({ conf: { blob: 'mine', target } }));
      await plant.publish('stable');
      await device.command(['apply']);
      return device;
    },
  },
  {
    name: 'program would run as root',
    cause: /apply\.root-denied: run: main would run as root/,
    cure: /runtimes\.process\.allowRoot/,
    async plant(world) {
      const plant = await world.plant();
      const settings = { mqtt: undefined, runtimes: { process: { allowRoot: false } } };
      const device = plant.device('press-rootless', { settings });
      plant.write('canary', 'run.sh', '#!/bin/sh\nsleep 600\n', 0o755);
      plant.deploy('canary', 'run', processSpec({ blob: 'run.sh' }));
      await plant.publish('canary');
      await looked(device);
      return device;
    },
  },
  {
    name: 'label that the device lacks',
    cause: /plan\.value-missing: conf: parameter line wants the label "line"/,
    cure: /Set device\.labels in agent\.yaml/,
    async plant(world) {
      const plant = await world.plant();
      const device = await settled(plant, 'press-label');
      plant.write('canary', 'run.sh', '#!/bin/sh\nsleep 600\n', 0o755);
      const parameters = {
        line: {
          valueFrom: { deviceLabel: 'line' },
          targets: [{ pointer: 'LINE', components: ['main'] }],
        },
      };
      plant.deploy('canary', 'conf', processSpec({ blob: 'run.sh' }, { parameters }));
      await plant.publish('canary');
      await device.command(['apply']);
      return device;
    },
  },
  {
    name: 'another tool moved the tag',
    cause: /source\.(artifact|media-type)/,
    cure: /overwritten by another tool|what `holdfast publish` pushed/,
    async plant(world) {
      const plant = await world.plant();
      const device = await settled(plant, 'press-tag');
      const [, host = '', name = ''] = /^(http:\/\/[^/]+)\/(.*)$/.exec(plant.registry) ?? [];
      const type = 'application/vnd.oci.image.manifest.v1+json';
      const url = `${host}/v2/${name}/manifests/canary`;
      const was = await fetch(url, { headers: { accept: type } });
      const manifest = JSON.parse(await was.text()) as Record<string, unknown>;
      const foreign = { ...manifest, artifactType: 'application/vnd.example', layers: [] };
      const body = JSON.stringify(foreign);
      await fetch(url, { method: 'PUT', headers: { 'content-type': type }, body });
      await device.command(['apply']);
      return device;
    },
  },
  {
    name: 'agent is paused',
    cause: /paused by the operator/,
    cure: /holdfast resume/,
    async plant(world) {
      const plant = await world.plant();
      const device = await settled(plant, 'press-paused');
      await device.command(['pause', '--reason', 'shift change']);
      await reconfigured(device, {});
      const target = join(device.opt, 'conf');
      plant.deploy('canary', 'conf', filesSpec({ conf: { blob: 'conf', target } }, {}));
      return device;
    },
  },
];
