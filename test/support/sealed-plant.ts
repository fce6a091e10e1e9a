/**
 * A device with a channel of its own, and what its plant can be searched for: every file that device,
 * publisher and registry keep, what the agent says, and everything that goes over the broker.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { endChild } from './command.ts';
import type { Device } from './device.ts';
import { program } from './parts.ts';
import type { Parts, Plant } from './plant.ts';

/** tmpfs on every Linux */
const MEMORY = '/dev/shm';

/** runDir on tmpfs, where the harness expects it. Returns how to remove it. */
export function volatileRunDir(device: Device): () => void {
  const folder = mkdtempSync(join(MEMORY, 'holdfast-run-'));
  symlinkSync(folder, device.runDir);
  return () => rmSync(folder, { recursive: true, force: true });
}

/** What `--device-key` wants. */
export async function deviceKey(device: Device): Promise<string> {
  const { key } = (await device.status()).device;
  const digest = createHash('sha256').update(Buffer.from(key, 'base64')).digest('hex');
  return `sha256:${digest}`;
}

/** Seals `secret` as `name`, by the device's status at the broker. */
export async function sealFor(
  plant: Plant,
  device: Device,
  value: { readonly name: string; readonly secret: string },
): Promise<void> {
  const known = ['--device', device.id, '--name', value.name];
  const pin = ['--device-key', await deviceKey(device)];
  const sealed = await plant.holdfast(['seal', ...known, ...pin], { input: value.secret });
  if (sealed.code !== 0) throw new Error(sealed.err);
}

/** Every message below the topic root, as bytes. */
export function eavesdrop(parts: Parts, plant: Plant): { heard(): Buffer; stop(): Promise<void> } {
  const chunks: Buffer[] = [];
  const args = ['-p', `${parts.broker.port}`, '-t', `${plant.topicRoot}/#`, '-F', '%t %p'];
  const child: ChildProcess = spawn(program('mosquitto_sub') ?? '', args, {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  child.stdout?.on('data', (chunk) => chunks.push(chunk));
  return {
    heard: () => Buffer.concat(chunks),
    stop: () => endChild(child, 'SIGKILL'),
  };
}

/** Files below the folders that hold one of the texts; sockets and what is gone by now left out. */
export function filesWith(folders: readonly string[], texts: readonly string[]): readonly string[] {
  const found: string[] = [];
  for (const folder of folders) {
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      if (entry.isFile() && holds(path, texts)) found.push(path);
    }
  }
  return found;
}

function holds(path: string, texts: readonly string[]): boolean {
  try {
    const bytes = readFileSync(path);
    return texts.some((text) => bytes.includes(text));
  } catch {
    return false;
  }
}

/** The ways a secret may have been written down. */
export function spellings(secret: string): readonly string[] {
  const bytes = Buffer.from(secret);
  return [secret, bytes.toString('base64').replace(/=+$/, ''), bytes.toString('hex')];
}
