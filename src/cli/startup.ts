/** What main.ts asks before anything else of the program is loaded: this file imports tables only. */
import { type Fault, fault } from '#errors/fault.ts';

/**
 * Each makes Bun do something other than run this program as it was built, or drop its TLS checks.
 * The first two have no effect on a built one any more (scripts/runtime.ts takes their names out),
 * but whoever sets them expects one, and is told.
 */
const HOSTILE = ['BUN_OPTIONS', 'BUN_BE_BUN', 'NODE_TLS_REJECT_UNAUTHORIZED'];

export function hostileEnvironment(
  env: Readonly<Record<string, string | undefined>>,
): Fault | null {
  const names = HOSTILE.filter((name) => env[name] !== undefined);
  return names.length === 0 ? null : fault('config.environment', { names });
}

/** Whoever runs such a file has its capabilities: every command of it is refused. */
export function openExecutable(own: {
  readonly openToOthers: boolean;
  readonly executable: string;
}): Fault | null {
  const { openToOthers, executable } = own;
  return openToOthers ? fault('config.open-executable', { file: executable }) : null;
}

/**
 * How the runtime is set for a program that lives long and has little to do
 * (docs/decisions/0010-runtime-settings.md). It reads them when it starts.
 */
const AGENT_SETTINGS: Readonly<Record<string, string>> = { BUN_JSC_useDFGJIT: '0' };

/** Null: there is nothing to set, or whoever started this has set it. */
export function settingsToAdd(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string>> | null {
  const missing = Object.entries(AGENT_SETTINGS).filter(([name]) => env[name] === undefined);
  return args[0] === 'agent' && missing.length > 0 ? Object.fromEntries(missing) : null;
}

/** A fault as a person reads it when there is no terminal to render it yet. */
export function faultText({ code, message, remedy }: Fault): string {
  return `holdfast: ${code}: ${message}\n${remedy}\n`;
}
