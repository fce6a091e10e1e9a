/**
 * Where the program starts: refuse an environment that would change what it is, then run the
 * command. The rest is loaded after that check, so nothing of it has run in a refused one.
 */
import { EXIT } from '#cli/exit.ts';
import { faultText, hostileEnvironment } from '#cli/startup.ts';
import { AddonRefused } from '#platform/bun/native-addon.ts';

async function main(): Promise<number> {
  const hostile = hostileEnvironment(process.env);
  if (hostile !== null) {
    process.stderr.write(faultText(hostile));
    return EXIT.usage;
  }
  try {
    const { runCli } = await import('#cli/commands.ts');
    return await runCli(process.argv.slice(2), process.env);
  } catch (error) {
    if (error instanceof AddonRefused) {
      process.stderr.write(faultText(error.fault));
      return EXIT.usage;
    }
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    process.stderr.write(`holdfast: broken assumption: ${text}\n`);
    return EXIT.brokenAssumption;
  }
}

process.exitCode = await main();
