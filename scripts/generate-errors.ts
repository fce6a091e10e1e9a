/**
 * `bun scripts/generate-errors.ts` writes docs/errors.md from the fault tables, the same that
 * status, logs and commands read. A test says when it has to be run again.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EXIT, exitCodeOf } from '#cli/exit.ts';
import { type Code, FAULTS, type FaultRow } from '#errors/fault.ts';
import { ROOT } from './targets.ts';

export const ERRORS_FILE = join(ROOT, 'docs/errors.md');

const ABOUT: Readonly<Record<string, string>> = {
  agent: 'The agent itself: what an operator asked for, how it was started.',
  apply: 'Bringing a state into force on this device (checks 16 to 22).',
  config: 'Files that people write, and the environment.',
  control: 'Between the command line and the agent.',
  drift: 'What was changed on the device by somebody else.',
  enroll: 'How a device comes to its credential, and keeps one.',
  format: 'Bytes that are not what their media type says.',
  hub: 'The small control plane.',
  link: 'The network: addresses, TLS, registries, brokers.',
  margo: 'The Margo manager, what it sent, and who it is (docs/margo.md).',
  plan: 'From a statement to steps (check 15).',
  platform: 'What the machine refused.',
  publish: 'The publisher, on the workstation.',
  source: 'What a registry or bundle holds (checks 1 to 4).',
  store: 'The agent’s store, and its files below stateDir.',
  trust: 'Whether a statement is acceptable (checks 5 to 15).',
  values: 'Values of one device, sealed or plain, and the channel they come in.',
};

const RETRY: Readonly<Record<FaultRow['retry'], string>> = {
  never: 'no',
  later: 'yes',
  operator: 'when a person has acted',
};

export function errorsPage(): string {
  const codes = (Object.keys(FAULTS) as readonly Code[]).toSorted();
  const prefixes = [...new Set(codes.map(prefixOf))];
  const sections = prefixes.map((prefix) =>
    section(
      prefix,
      codes.filter((code) => prefixOf(code) === prefix),
    ),
  );
  return `# Errors

Every fault has a code that never changes its meaning. The same codes stand in \`holdfast status\`,
\`explain\` and \`history\`, in the logs, in the status that a device signs, and in the last line of a
command that failed. *Words* in italics stand for the values that were compared.

*Tried again* says whether the agent tries the same thing once more by itself. *Exit* is the exit
code of a command that ends with it. The publisher's commands end with ${EXIT.usage} for \`plan.\` (a mistake in
a document), with ${EXIT.refusedByTrust} for \`publish.head-unverified\`.

Made from src/errors by \`bun scripts/generate-errors.ts\`.
${sections.join('')}`;
}

function section(prefix: string, codes: readonly Code[]): string {
  const rows = codes.map((code) => {
    const row: FaultRow = FAULTS[code];
    const cells = [
      `<a id="${code}"></a>\`${code}\``,
      cell(saying(row)),
      cell(row.remedy),
      RETRY[row.retry],
      `${exitCodeOf(code)}`,
    ];
    return `| ${cells.join(' | ')} |\n`;
  });
  return `
## ${prefix}
${ABOUT[prefix] ?? ''}

| code | says | what to do | tried again | exit |
|---|---|---|---|---|
${rows.join('')}`;
}

function prefixOf(code: string): string {
  return code.slice(0, code.indexOf('.'));
}

/** The sentence with the names of its values in their places. */
function saying({ says }: FaultRow): string {
  const text = (says as (details: unknown) => string)(stand(''));
  return text.replaceAll(/⟨([^⟩]*)⟩/g, '*$1*');
}

/** Stands in for any value: whatever is asked of it, it remains its own name. */
function stand(name: string): unknown {
  const shown = `⟨${name}⟩`;
  const target = () => shown;
  return new Proxy(target, {
    get(_, property) {
      if (property === Symbol.toPrimitive || property === 'toString' || property === 'toJSON')
        return () => shown;
      if (property === Symbol.iterator) return [][Symbol.iterator].bind([stand(name)]);
      if (typeof property === 'symbol') return undefined;
      if (property === 'length') return 2;
      return METHODS.has(property) ? () => stand(name) : stand(property);
    },
    apply: () => stand(name),
  });
}

const METHODS: ReadonlySet<string> = new Set([
  'join',
  'map',
  'filter',
  'slice',
  'toFixed',
  'toISOString',
  'replace',
  'replaceAll',
  'trim',
  'toSorted',
  'concat',
]);

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;').replaceAll('\n', ' ');
}

if (import.meta.main) {
  writeFileSync(ERRORS_FILE, errorsPage());
  console.log('docs/errors.md is written');
}
