/** One directory of targets, `line`, made anew for each test of the file that calls this. */
import { afterEach, beforeEach } from 'bun:test';
import { mkdirSync, readFileSync } from 'node:fs';
import { filesRuntime } from '#apply/runtimes/files.ts';
import type { FilesComponent, Hook } from '#state/deployment.ts';
import type { Generation } from '#state/generation.ts';
import {
  type Content,
  file,
  type RuntimeWorld,
  runtimeWorld,
} from '../../contract/runtime-world.ts';

export const SITE = [
  { path: 'index.html', kind: 'file', mode: 0o644, bytes: Buffer.from('one') },
  { path: 'sub', kind: 'directory', mode: 0o750 },
  { path: 'sub/run.sh', kind: 'file', mode: 0o755, bytes: Buffer.from('#!/bin/sh\n') },
] as const;
export const OTHER = [
  { path: 'index.html', kind: 'file', mode: 0o644, bytes: Buffer.from('two') },
] as const;

export function filesWorld() {
  let world: RuntimeWorld;
  const begin = () => {
    world = runtimeWorld();
    mkdirSync(`${world.root}/line`);
  };
  beforeEach(begin);
  afterEach(() => world.end());
  const at = (name: string) => `${world.root}/line/${name}`;
  const files = (
    contents: Readonly<Record<string, Content>>,
    components: readonly FilesComponent[],
    more: { readonly id?: string; readonly reload?: Hook } = {},
  ): Generation => {
    const { id = 'line', reload = null } = more;
    return world.generation(id, contents, { profile: { kind: 'files', components, reload } });
  };
  return {
    world: () => world,
    /** another one, in the middle of a test */
    anew() {
      world.end();
      begin();
    },
    at,
    text: (name: string) => readFileSync(at(name), 'utf8'),
    /** a runtime without memory */
    fresh: () => filesRuntime(world.options),
    files,
    conf: (content: string, more: Partial<FilesComponent> = {}) =>
      files({ conf: content }, [file(at('plc.conf'), 'conf', more)]),
    site: (content: Content, more: Partial<FilesComponent> = {}) =>
      files({ site: content }, [file(at('site'), 'site', more)]),
  };
}
