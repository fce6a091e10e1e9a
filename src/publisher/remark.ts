/** What `holdfast lint` says: one row each, at a place in a file. */
import type { Code, Fault } from '#errors/fault.ts';
import type { YamlDocument, YamlPath } from '#wire/yaml-document.ts';

/** `error`: publish would refuse it; `warning`: unwise; `note`: worth knowing */
export type Gravity = 'error' | 'warning' | 'note';

export interface Remark {
  readonly gravity: Gravity;
  /** of a fault, or the name of a rule (`lint.…` in docs/publish.md) */
  readonly code: Code | LintRule;
  /** relative to the fleet folder */
  readonly file: string;
  /** from 1; 0: the file as a whole */
  readonly line: number;
  readonly column: number;
  readonly message: string;
  readonly remedy: string;
}

/** rule → what to do about it */
export const LINT_RULES = {
  'no-health-check': 'Add health: an http, tcp or exec check that only a working program passes.',
  'check-always-passes':
    'Let the check ask the program itself: http, tcp, or a command that can fail.',
  'unusual-target':
    'Name its root in channels[].allow.roots of every agent.yaml, or use /opt or /srv.',
  'mutable-name': 'Name the image by digest (NAME@sha256:…): a tag can be moved to something else.',
  'readable-secret': 'Give it mode "0600" and an owner, or better a sealed value: holdfast seal.',
  'secret-in-blob': 'Blobs go to the registry as they are. Use a sealed value: holdfast seal.',
  'secret-in-fleet-yaml': 'Use usernameFile and passwordFile, and keep these files out of git.',
  'open-key': 'chmod 600 it: whoever reads it signs for this fleet.',
  'signer-missing': 'Make it with holdfast key create, or name a key that is in keys/signing.',
  'unused-file': 'Remove it, or name it in a document: only what is named is published.',
  'unused-folder': 'Add the channel to fleet.yaml, or remove the folder.',
  'not-encrypted': 'Use https:// and mqtts://; insecure: true is for a bench.',
  'root-ends': 'Publish the next root in time: holdfast root set-expiry, docs/roots.md.',
  'key-ends': 'Replace it in time: holdfast root add-key, docs/roots.md.',
  'one-key-root': 'Make root keys that different people hold: docs/roots.md, a lost root key.',
  'one-signature': 'Where one person must not publish alone: holdfast root set-threshold.',
} as const;

export type LintRule = keyof typeof LINT_RULES;

const PLACE = /^([^\n]*?):(\d+):(\d+): ([\s\S]*)$/;

/** What publish would say. Its own place is taken out of the message where it has one. */
export function remarkOf(fault: Fault, file: string): Remark {
  const { code, remedy } = fault;
  const match = fault.code === 'config.invalid' ? PLACE.exec(fault.message) : null;
  const at = match
    ? { line: Number(match[2]), column: Number(match[3]), message: match[4] ?? '' }
    : { line: 0, column: 0, message: fault.message };
  return { gravity: 'error', code, file, remedy, ...at };
}

/** At a value of a document, or as near to it as the document goes. */
export function remarkAt(
  { document, file }: { readonly document: YamlDocument; readonly file: string },
  path: YamlPath,
  rule: LintRule,
  message: string,
): Remark {
  const { line, column } = remarkOf(document.refuse(path, '').fault, file);
  return { gravity: 'warning', code: rule, file, line, column, message, remedy: LINT_RULES[rule] };
}

export function remark(rule: LintRule, file: string, message: string): Remark {
  const remedy = LINT_RULES[rule];
  return { gravity: 'warning', code: rule, file, line: 0, column: 0, message, remedy };
}
