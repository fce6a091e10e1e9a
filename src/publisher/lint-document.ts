/** What is unwise in one deployment document, although every device would take it. Pure. */
import type { Deployment, HealthCheck, Profile } from '#state/deployment.ts';
import type { YamlDocument } from '#wire/yaml-document.ts';
import { type Remark, remarkAt } from './remark.ts';

export interface LintedDocument {
  /** relative to the fleet folder */
  readonly file: string;
  readonly document: YamlDocument;
  readonly deployment: Deployment;
}

/** what agents allow unless their owner says otherwise (agent.yaml: channels[].allow.roots) */
const ROOTS = ['/opt', '/srv'];
const SECRET_NAME =
  /(?:^|[^a-z])(?:pass(?:word|wd)?|secret|token|private|credentials?)(?:[^a-z]|$)|\.(?:key|pem|p12|pfx)$/i;
const WORLD = 0o007;
const ALWAYS = new Set(['true', ':', 'echo', 'exit', 'sleep', 'printf']);
const IMAGE = /^(?:[a-z0-9.-]+(?::\d+)?\/)?[a-z0-9._/-]+(?::[A-Za-z0-9._-]+)?$/;

export function lintDocument(linted: LintedDocument): readonly Remark[] {
  return [...healthOf(linted), ...targetsOf(linted), ...namesOf(linted)];
}

function healthOf(linted: LintedDocument): readonly Remark[] {
  const { deployment } = linted;
  const { profile, health } = deployment;
  const always = health.flatMap((check, at) =>
    passesAlways(check)
      ? [
          remarkAt(
            linted,
            ['spec', 'health', at],
            'check-always-passes',
            `check ${check.name} passes whatever the program does`,
          ),
        ]
      : [],
  );
  if (profile.kind !== 'process' || health.length > always.length) return always;
  const message = 'that its programs live is all that is checked: one that hangs counts as healthy';
  return [...always, remarkAt(linted, ['spec', 'deploymentProfile'], 'no-health-check', message)];
}

/** Also behind a shell: `sh -c "… || true"`. */
function passesAlways({ probe }: HealthCheck): boolean {
  if (probe.kind !== 'exec') return false;
  const [program = '', ...rest] = probe.command;
  const name = program.slice(program.lastIndexOf('/') + 1);
  if (!/^(?:ba|da|z|k)?sh$/.test(name)) return ALWAYS.has(name);
  const script = (rest.at(-1) ?? '').trim();
  return /(?:\|\||;)\s*(?:true|:|exit 0)\s*$/.test(script) || /^(?:true|:|exit 0)$/.test(script);
}

function targetsOf(linted: LintedDocument): readonly Remark[] {
  const { profile } = linted.deployment;
  if (profile.kind !== 'files') return [];
  return profile.components.flatMap(({ name, blob, target, mode }, at) => {
    const path = ['spec', 'deploymentProfile', 'components', at, 'properties'];
    const unusual = ROOTS.some((root) => target.startsWith(`${root}/`))
      ? []
      : [
          remarkAt(
            linted,
            [...path, 'target'],
            'unusual-target',
            `${target} is outside ${ROOTS.join(' and ')}, all that agents allow by default`,
          ),
        ];
    const secret = [name, blob, target].some((text) => SECRET_NAME.test(text));
    if (!secret || (mode & WORLD) === 0) return unusual;
    const message = `${target} looks like a secret and everybody on the device may read it`;
    return [...unusual, remarkAt(linted, [...path, 'mode'], 'readable-secret', message)];
  });
}

/** Images and charts by tag, wherever a runtime's properties name them. */
function namesOf(linted: LintedDocument): readonly Remark[] {
  const { profile } = linted.deployment;
  if (profile.kind !== 'other') return [];
  return profile.components.flatMap(({ properties }, at) =>
    mutableNames(properties, profile).map(({ key, name }) =>
      remarkAt(
        linted,
        ['spec', 'deploymentProfile', 'components', at, 'properties', key],
        'mutable-name',
        `${name} is a name that can be moved`,
      ),
    ),
  );
}

function mutableNames(
  properties: Readonly<Record<string, unknown>>,
  { kind }: Profile,
): readonly { readonly key: string; readonly name: string }[] {
  if (kind !== 'other') return [];
  return Object.entries(properties).flatMap(([key, value]) => {
    if (typeof value !== 'string' || value.includes('@sha256:')) return [];
    const named = /^(?:image|imageRef)$/i.test(key) && IMAGE.test(value);
    return named || /:latest$/.test(value) ? [{ key, name: value }] : [];
  });
}
