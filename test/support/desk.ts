/**
 * An operator's workstation in a temporary folder: the publisher's commands on the real platform,
 * with a terminal that is written down and answers from a list.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, CommanderError } from 'commander';
import { registerBundles } from '#cli/bundles.ts';
import type { CliContext } from '#cli/context.ts';
import { registerDiff } from '#cli/diff.ts';
import { registerInit } from '#cli/init.ts';
import { registerInspect } from '#cli/inspect.ts';
import { registerKey } from '#cli/key.ts';
import { registerLint } from '#cli/lint.ts';
import { registerNudge } from '#cli/nudge.ts';
import { registerPae } from '#cli/pae.ts';
import { registerPromote } from '#cli/promote.ts';
import { registerPublish } from '#cli/publish.ts';
import { registerRoot } from '#cli/root.ts';
import { registerSeal } from '#cli/seal.ts';
import { registerSign } from '#cli/sign.ts';
import { registerVerify } from '#cli/verify.ts';
import { refuse } from '#errors/fault.ts';
import { bunPlatform } from '#platform/bun/platform.ts';
import type { Platform } from '#platform/platform.ts';

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface Desk {
  /** temporary, absolute */
  readonly folder: string;
  readonly platform: Platform;
  /** @param answers  what the person types or a pipe brings, in order; none: there is no terminal */
  run(args: readonly string[], answers?: readonly string[]): Promise<Ran>;
  /** The same with `-o json`, parsed; throws what was printed when it ends with another code. */
  json<T>(args: readonly string[], code?: number): Promise<T>;
  remove(): void;
}

export function openDesk(
  env: Readonly<Record<string, string>> = {},
  change: (platform: Platform) => Platform = (platform) => platform,
): Desk {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-desk-'));
  const platform = change(bunPlatform({ logLevel: 'error', logFormat: 'json' }));
  async function run(args: readonly string[], answers: readonly string[] = []): Promise<Ran> {
    const text = { out: '', err: '' };
    let code = -1;
    const context = contextOf({ platform, folder, env, answers, text }, (named) => {
      code = named;
    });
    const program = new Command('holdfast').exitOverride().configureOutput({
      writeOut: (line) => context.terminal.out(line),
      writeErr: (line) => context.terminal.err(line),
    });
    for (const register of REGISTRATIONS) register(program, context);
    try {
      await program.parseAsync(args, { from: 'user' });
    } catch (error) {
      if (!(error instanceof CommanderError)) throw error;
      code = error.exitCode === 0 ? 0 : 2;
    }
    return { code, ...text };
  }
  return {
    folder,
    platform,
    run,
    async json<T>(args: readonly string[], code = 0) {
      const ran = await run([...args, '-o', 'json']);
      if (ran.code !== code) throw new Error(`exit code ${ran.code}\n${ran.err}${ran.out}`);
      return JSON.parse(ran.out) as T;
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** HTTP requests written down, and the link cut after some of them. */
export interface HttpLog {
  requests: string[];
  /** requests that still go through; negative: all */
  left: number;
  /** requests that are cut, as `METHOD /path` */
  cut: RegExp | null;
}

export function logged(log: HttpLog): (platform: Platform) => Platform {
  return (platform) => ({
    ...platform,
    http: {
      async request(request) {
        const line = `${request.method} ${new URL(request.url).pathname}`;
        log.requests.push(line);
        if (log.left === 0 || log.cut?.test(line)) {
          return refuse('link.cut', { peer: 'registry', reason: 'cut here' });
        }
        if (log.left > 0) log.left -= 1;
        return platform.http.request(request);
      },
    },
  });
}

const REGISTRATIONS = [
  registerInit,
  registerKey,
  registerPae,
  registerSeal,
  registerRoot,
  registerSign,
  registerDiff,
  registerPublish,
  registerLint,
  registerPromote,
  registerNudge,
  registerVerify,
  registerInspect,
  registerBundles,
];

function contextOf(
  desk: {
    readonly platform: Platform;
    readonly folder: string;
    readonly env: Readonly<Record<string, string>>;
    readonly answers: readonly string[];
    readonly text: { out: string; err: string };
  },
  exit: (code: number) => void,
): CliContext {
  const { platform, folder, env, text } = desk;
  const left = [...desk.answers];
  const answer = (question: string) => {
    text.err += question;
    return Promise.resolve(left.shift() ?? null);
  };
  return {
    platform,
    env,
    cwd: folder,
    executable: '/usr/bin/holdfast',
    version: {
      version: '0.1.0',
      commit: 'test',
      target: 'test',
      bun: '',
      lmdb: '',
      buildTime: 1_795_392_000_000,
    },
    terminal: {
      interactive: false,
      colour: false,
      columns: 100,
      out: (line) => {
        text.out += line;
      },
      outBytes: (bytes) => {
        text.out += Buffer.from(bytes).toString('latin1');
        return true;
      },
      err: (line) => {
        text.err += line;
      },
      input: async (cap) => {
        const bytes = Buffer.from(left.shift() ?? '');
        return bytes.length > cap ? null : new Uint8Array(bytes);
      },
      ask: answer,
      askSecret: answer,
    },
    configureLog: () => undefined,
    starting: () => undefined,
    ready: () => undefined,
    exit,
    onSignal: () => () => undefined,
  };
}
