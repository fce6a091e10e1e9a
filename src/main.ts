/**
 * Where the program starts: refuse an environment that would change what it is, build the platform,
 * run the command. The rest is loaded after that check, so nothing of it has run in a refused one.
 */
import type { CliContext } from '#cli/context.ts';
import { EXIT } from '#cli/exit.ts';
import { faultText, hostileEnvironment, openExecutable, settingsToAdd } from '#cli/startup.ts';
import { buildVersion } from '#cli/version.ts';
import { AddonRefused } from '#platform/bun/native-addon.ts';
import { type Self, thisProcess } from '#platform/node/self.ts';

const self = thisProcess();
self.onUncaught((error) => self.exit(complain(error)));
self.exit(await main());

async function main(): Promise<number> {
  const hostile = hostileEnvironment(self.env) ?? openExecutable(self);
  if (hostile !== null) {
    process.stderr.write(faultText(hostile));
    return EXIT.usage;
  }
  const settings = settingsToAdd(self.args, self.env);
  if (settings !== null) self.beginAgain(settings);
  try {
    return await runCommand(self);
  } catch (error) {
    return complain(error);
  }
}

/** The last code that the command named, once it has finished. */
async function runCommand(own: Self): Promise<number> {
  const { bunPlatform } = await import('#platform/bun/platform.ts');
  const { systemTerminal } = await import('#platform/node/terminal.ts');
  const { runCli } = await import('#cli/commands.ts');
  const { systemLog } = await import('#platform/node/log.ts');
  const { notifyReady, notReady } = await import('#platform/node/notify.ts');
  let code: number = EXIT.done;
  const platform = bunPlatform({ logLevel: 'info', logFormat: 'json' });
  let { log } = platform;
  const context: CliContext = {
    platform: { ...platform, log: { write: (...line) => log.write(...line) } },
    executable: own.executable,
    configureLog(options) {
      log = systemLog({ ...options, clock: platform.clock });
    },
    ready: (runDir) => notifyReady(own.env, runDir),
    starting: (runDir) => notReady(runDir),
    terminal: systemTerminal(own.env),
    env: own.env,
    cwd: own.workingDirectory,
    version: buildVersion(),
    exit(named) {
      code = named;
    },
    onSignal: (signal, call) =>
      own.onSignal(signal === 'stop' ? ['SIGINT', 'SIGTERM'] : ['SIGHUP'], () => call()),
  };
  await runCli(own.args, context);
  return code;
}

function complain(error: unknown): number {
  if (error instanceof AddonRefused) {
    process.stderr.write(faultText(error.fault));
    return EXIT.usage;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`holdfast: broken assumption: ${text}\n`);
  return EXIT.brokenAssumption;
}
