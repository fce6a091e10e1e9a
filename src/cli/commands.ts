/** The commands of `holdfast`, one file each beside this one. Registering one is one line here. */
import { Command, CommanderError } from 'commander';
import { registerAgent } from './agent.ts';
import { registerApply } from './apply.ts';
import { registerAudit } from './audit.ts';
import { registerBundles } from './bundles.ts';
import { registerCompletion } from './completion.ts';
import type { CliContext } from './context.ts';
import { registerDescribe } from './describe.ts';
import { registerDiff } from './diff.ts';
import { registerDoctor } from './doctor.ts';
import { registerEnroll } from './enroll.ts';
import { registerEvents } from './events.ts';
import { EXIT } from './exit.ts';
import { registerExplain } from './explain.ts';
import { registerForget } from './forget.ts';
import { registerGet } from './get.ts';
import { registerHistory } from './history.ts';
import { registerHub } from './hub.ts';
import { registerInit } from './init.ts';
import { registerInspect } from './inspect.ts';
import { registerKey } from './key.ts';
import { registerLint } from './lint.ts';
import { registerLogs } from './logs.ts';
import { registerMan } from './man.ts';
import { registerNudge } from './nudge.ts';
import { registerOperator } from './operator.ts';
import { registerPae } from './pae.ts';
import { registerPlan } from './plan.ts';
import { registerPrepareImage } from './prepare-image.ts';
import { registerPromote } from './promote.ts';
import { registerPublish } from './publish.ts';
import { registerRollout } from './rollout.ts';
import { registerRoot } from './root.ts';
import { registerSchema } from './schema.ts';
import { registerSeal } from './seal.ts';
import { registerSelfTest } from './self-test.ts';
import { registerSign } from './sign.ts';
import { registerStatus } from './status.ts';
import { registerTime } from './time.ts';
import { registerVerify } from './verify.ts';
import { versionLine } from './version.ts';
import { registerWait } from './wait.ts';

const REGISTRATIONS: readonly ((program: Command, context: CliContext) => void)[] = [
  registerAgent,
  registerEnroll,
  registerStatus,
  registerPlan,
  registerExplain,
  registerHistory,
  registerEvents,
  registerGet,
  registerDescribe,
  registerWait,
  registerRollout,
  registerLogs,
  registerAudit,
  registerApply,
  registerBundles,
  registerOperator,
  registerForget,
  registerDoctor,
  registerPrepareImage,
  registerSelfTest,
  registerInit,
  registerKey,
  registerRoot,
  registerPae,
  registerSeal,
  registerSign,
  registerDiff,
  registerPublish,
  registerLint,
  registerPromote,
  registerNudge,
  registerTime,
  registerVerify,
  registerInspect,
  registerHub,
  registerSchema,
  registerMan,
  registerCompletion,
];

/** Runs one command line, without the program's own name, until the command has finished. */
export async function runCli(argv: readonly string[], context: CliContext): Promise<void> {
  const program = new Command('holdfast')
    .description('Keeps edge devices at their signed desired state, whatever the link does.')
    .version(versionLine(context.version))
    .configureOutput({
      writeOut: (text) => context.terminal.out(text),
      writeErr: (text) => context.terminal.err(text),
      getOutHelpWidth: () => context.terminal.columns,
      getErrHelpWidth: () => context.terminal.columns,
    })
    .showSuggestionAfterError()
    .exitOverride();
  for (const register of REGISTRATIONS) register(program, context);
  try {
    await program.parseAsync(argv, { from: 'user' });
  } catch (error) {
    // Commander has printed help, version or what is wrong with the command line.
    if (!(error instanceof CommanderError)) throw error;
    context.exit(error.exitCode === 0 ? EXIT.done : EXIT.usage);
  }
}
