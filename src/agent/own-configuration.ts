/**
 * The agent's own configuration: the owner's file, and the sections that a signed state may put in
 * place of some of it (apply/runtimes/agent-config.ts). A section counts whole, never merged key by
 * key. What says whom this device trusts, whose it is and what states may do here stays the owner's:
 * KEYS is the whole list of what a state may bring. Files are named only below the roots that states
 * may write, or as the owner's file names them already, so that no state has the agent send a file
 * of the owner's to a server of its own choice.
 *
 * Sections that do not fit the owner's file (any more) count for nothing, and that is told: what is
 * configured by hand always starts.
 */
import { OVERLAY_BYTES, OVERLAY_FILE, OVERLAY_FOLDER } from '#apply/runtimes/agent-config.ts';
import { type Fault, ok, type Result, refuse } from '#errors/fault.ts';
import type { Files } from '#platform/files.ts';
import { quote } from '#wire/quote.ts';
import { openYaml, type Yaml } from '#wire/yaml-document.ts';
import { type AgentConfig, parseConfig } from './config.ts';
import { targetRoots } from './config-channels.ts';

const CONFIG_BYTES = 1024 * 1024;
const MARK_BYTES = 256;
/** Sections that a state may bring; of `device` the labels. */
const KEYS = [
  'time',
  'registries',
  'mqtt',
  'schedule',
  'nudges',
  'bundles',
  'metrics',
  'keep',
  'log',
];
/** Keys whose text names a file of this device. */
const NAMES_FILE = /^(?:ca|cert|key|watch|.*File)$/;

export interface Effective {
  readonly config: AgentConfig;
  /** why the sections of the state count for nothing; null: they count, or there are none */
  readonly ignored: Fault | null;
}

type Mapping = { readonly [key: string]: Yaml };

/** What the agent is started with. */
export function readEffective(files: Files, file: string): Result<Effective> {
  const local = files.readFile(file, CONFIG_BYTES);
  if (!local.ok) return refuse('config.unreadable', { file, reason: local.fault.message });
  const own = parseConfig(local.value, file);
  if (!own.ok) return own;
  const path = `${own.value.stateDir}/${OVERLAY_FOLDER}/${OVERLAY_FILE}`;
  const overlay = files.readFile(path, OVERLAY_BYTES + MARK_BYTES);
  if (!overlay.ok) {
    const missing = overlay.fault.code === 'platform.missing';
    return ok({ config: own.value, ignored: missing ? null : overlay.fault });
  }
  const merged = mergeSections(local.value, overlay.value, { file, deployment: 'its state' });
  return ok(
    merged.ok
      ? { config: merged.value, ignored: null }
      : { config: own.value, ignored: merged.fault },
  );
}

/** What a state brings, before it is accepted. */
export function checkSections(
  files: Files,
  file: string,
  sections: Uint8Array,
  deployment: string,
): Result<void> {
  const local = files.readFile(file, CONFIG_BYTES);
  if (!local.ok) return refuse('config.unreadable', { file, reason: local.fault.message });
  const merged = mergeSections(local.value, sections, { file, deployment });
  return merged.ok ? ok(undefined) : merged;
}

interface Where {
  readonly file: string;
  readonly deployment: string;
}

/** Exposed for tests; no I/O. */
export function mergeSections(
  local: Uint8Array,
  sections: Uint8Array,
  { file, deployment }: Where,
): Result<AgentConfig> {
  const invalid = (reason: string) => refuse('apply.config-invalid', { deployment, reason });
  const own = openYaml(local, file);
  if (!own.ok) return own;
  const brought = openYaml(sections, deployment);
  if (!brought.ok) return invalid(brought.fault.message);
  const [mine, theirs] = [mappingOf(own.value.value), mappingOf(brought.value.value)];
  if (!mine || !theirs) return invalid('it is no mapping with apiVersion and kind: Agent');
  if (theirs.apiVersion !== 'holdfast/v1' || theirs.kind !== 'Agent') {
    return invalid('it does not begin with apiVersion: holdfast/v1 and kind: Agent');
  }
  const barred = barredKey(theirs);
  if (barred !== null) return refuse('apply.config-key', { deployment, key: quote(barred) });
  const { apiVersion: _, kind: __, device, ...rest } = theirs;
  const labels = mappingOf(device ?? null)?.labels;
  const both = {
    ...mine,
    ...rest,
    ...(labels !== undefined && { device: { ...mappingOf(mine.device ?? null), labels } }),
  };
  const config = parseConfig(new TextEncoder().encode(JSON.stringify(both)), file);
  // The place is one in a text that nobody wrote; the path of the key stands in the message.
  if (!config.ok) return invalid(config.fault.message.replace(/^.*?:\d+:\d+: /, ''));
  const foreign = foreignPath(theirs, { file, mine, config: config.value });
  if (foreign !== null) return refuse('apply.config-path', { deployment, ...foreign });
  const keys = [...Object.keys(rest), ...(labels === undefined ? [] : ['device.labels'])];
  return ok({ ...config.value, fromState: keys.sort() });
}

function mappingOf(value: Yaml): Mapping | null {
  const is = typeof value === 'object' && value !== null && !Array.isArray(value);
  return is ? (value as Mapping) : null;
}

/** The first key that only the owner may set. */
function barredKey(theirs: Mapping): string | null {
  for (const [key, value] of Object.entries(theirs)) {
    if (key === 'apiVersion' || key === 'kind' || KEYS.includes(key)) continue;
    if (key !== 'device') return key;
    const other = Object.keys(mappingOf(value) ?? {}).find((name) => name !== 'labels');
    if (other !== undefined || !mappingOf(value)) return `device.${other ?? 'labels'}`;
  }
  return null;
}

interface Against {
  readonly file: string;
  readonly mine: Mapping;
  readonly config: AgentConfig;
}

function foreignPath(
  theirs: Mapping,
  { file, mine, config }: Against,
): { readonly key: string; readonly path: string } | null {
  const folder = file.slice(0, file.lastIndexOf('/'));
  const at = (name: string) => (name.startsWith('/') ? name : `${folder}/${name}`);
  const known = new Set([...pathsIn(mine, '')].map(({ path }) => at(path)));
  const roots = targetRoots(config.channels);
  const { device: _, ...sections } = theirs;
  for (const { key, path } of pathsIn(sections, '')) {
    const full = at(path);
    const plain = !full.split('/').some((part) => part === '..' || part === '.');
    const inside = roots.some((root) => full.startsWith(root.endsWith('/') ? root : `${root}/`));
    if (!known.has(full) && !(plain && inside)) return { key, path: quote(full) };
  }
  return null;
}

function* pathsIn(
  value: Yaml,
  key: string,
): Generator<{ readonly key: string; readonly path: string }> {
  const name = key.slice(key.lastIndexOf('.') + 1);
  if (typeof value === 'string') {
    if (NAMES_FILE.test(name)) yield { key, path: value };
  } else if (Array.isArray(value)) {
    for (const entry of value) yield* pathsIn(entry, key);
  } else {
    for (const [inner, entry] of Object.entries(mappingOf(value) ?? {})) {
      yield* pathsIn(entry, key === '' ? inner : `${key}.${inner}`);
    }
  }
}
