/**
 * The machines Holdfast is built for: one folder of targets/ each, its target.json read here.
 * Adding a machine is adding a folder; nothing else in scripts/ names one.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';

export const ROOT = join(import.meta.dir, '..');
/** Everything here can be deleted; it is made again at need. */
export const CACHE = join(ROOT, '.cache');

const Package = v.strictObject({
  name: v.string(),
  version: v.string(),
  /** npm's `dist.integrity`: what is downloaded must have it */
  integrity: v.pipe(v.string(), v.startsWith('sha512-')),
});
export type PinnedPackage = v.InferOutput<typeof Package>;

const TargetFile = v.strictObject({
  bunTarget: v.custom<Bun.Build.CompileTarget>(
    (value) => typeof value === 'string' && value.startsWith('bun-linux-'),
  ),
  /** `e_machine` of the executable, by its usual name */
  machine: v.picklist(['x86_64', 'aarch64']),
  /** the newest GLIBC symbol version that runtime and addon may ask for */
  glibcMax: v.pipe(v.string(), v.regex(/^\d+\.\d+$/)),
  runtime: Package,
  addon: v.strictObject({ zigTarget: v.string(), prebuilt: Package }),
});
export type Target = v.InferOutput<typeof TargetFile> & { readonly name: string };

export function targetNames(): readonly string[] {
  return readdirSync(join(ROOT, 'targets')).filter((name) =>
    existsSync(join(ROOT, 'targets', name, 'target.json')),
  );
}

/** The target of the machine that this runs on. */
export function hostTarget(): string {
  return `${process.platform}-${process.arch}`;
}

export function readTarget(name: string): Target {
  if (!targetNames().includes(name)) {
    throw new Error(`no target ${name}: targets/ has ${targetNames().join(', ')}`);
  }
  const path = join(ROOT, 'targets', name, 'target.json');
  return { name, ...v.parse(TargetFile, JSON.parse(readFileSync(path, 'utf8'))) };
}
