/**
 * `holdfast lint`: everything in a fleet folder that `publish` would refuse, not only the first of it,
 * and what it would take although it is unwise. Offline; signs and writes nothing.
 */
import { ok, type Result } from '#errors/fault.ts';
import { inOrder } from '#plan/order.ts';
import { checkValuesOnly } from '#plan/values.ts';
import type { Files } from '#platform/files.ts';
import type { Platform } from '#platform/platform.ts';
import { blobNames } from '#wire/deployment.ts';
import { openYaml } from '#wire/yaml-document.ts';
import { channelNames } from './channel-names.ts';
import { asGeneration, compileChannel, type Document, readBlob, readDocument } from './compile.ts';
import type { Fleet } from './fleet.ts';
import { fleetChannel, judgeInForce } from './fleet.ts';
import { lintDocument } from './lint-document.ts';
import { lintFleet } from './lint-fleet.ts';
import { type Remark, remark, remarkOf } from './remark.ts';

type LintPlatform = Pick<Platform, 'files' | 'inflate'>;

/** bytes of a blob that are looked at for a private key */
const HEAD_BYTES = 64 * 1024;
const FILES_MAX = 20_000;
const PRIVATE = /-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----/;
/** beside documents and blobs; nobody wants to hear of it */
const IGNORED = /^(?:README(?:\.\w+)?|LICENSE(?:\.\w+)?|\.git.*|\.DS_Store|\.editorconfig)$/;

/** @param only  one channel; null: the whole folder */
export function lint(
  platform: LintPlatform,
  fleet: Fleet,
  only: string | null,
): Result<readonly Remark[]> {
  const names = only === null ? channelNames(platform.files, fleet) : ok([only]);
  if (!names.ok) return names;
  const remarks: Remark[] = only === null ? [...lintFleet(platform.files, fleet)] : [];
  for (const name of names.value) {
    const channel = fleetChannel(fleet, name);
    if (!channel.ok) remarks.push(remarkOf(channel.fault, 'fleet.yaml'));
    remarks.push(...lintChannel(platform, fleet, name));
  }
  const inForce = judgeInForce(fleet);
  const told = remarks.some(({ code, gravity }) => code === 'root-ends' && gravity === 'error');
  if (!inForce.ok && !told) remarks.push(remarkOf(inForce.fault, 'root'));
  return ok(remarks.toSorted(byPlace));
}

/**
 * What is unwise in a channel's documents alone, for `publish`: no blob is read for it. What cannot be
 * read is left to publish itself.
 */
export function unwiseDocuments(
  platform: LintPlatform,
  fleet: Fleet,
  channel: string,
): readonly Remark[] {
  const folder = `${fleet.directory}/channels/${channel}`;
  const directory = platform.files.open(folder, { follow: true });
  if (!directory.ok) return [];
  const names = directory.value.list();
  directory.value.close();
  const documents = (names.ok ? names.value : []).filter((name) => name.endsWith('.yaml'));
  return documents.toSorted().flatMap((name) => {
    const id = name.slice(0, -'.yaml'.length);
    const document = readDocument(platform, `${folder}/${name}`, id);
    return document.ok ? lintedOf(`channels/${channel}/${name}`, document.value) : [];
  });
}

function lintedOf(file: string, { deployment, bytes }: Document): readonly Remark[] {
  const yaml = openYaml(bytes, file);
  return deployment && yaml.ok ? lintDocument({ file, document: yaml.value, deployment }) : [];
}

function byPlace(a: Remark, b: Remark): number {
  if (a.file !== b.file) return a.file < b.file ? -1 : 1;
  return a.line - b.line || a.column - b.column;
}

function lintChannel(platform: LintPlatform, fleet: Fleet, channel: string): readonly Remark[] {
  const folder = `${fleet.directory}/channels/${channel}`;
  const shown = (name: string) => `channels/${channel}/${name}`;
  const directory = platform.files.open(folder, { follow: true });
  if (!directory.ok) {
    const missing = directory.fault.code === 'platform.missing';
    return missing ? [] : [remarkOf(directory.fault, `channels/${channel}`)];
  }
  const names = directory.value.list();
  directory.value.close();
  if (!names.ok) return [remarkOf(names.fault, `channels/${channel}`)];
  const remarks: Remark[] = [];
  const documents: Document[] = [];
  for (const name of names.value.filter((one) => one.endsWith('.yaml')).toSorted()) {
    const file = `${folder}/${name}`;
    const document = readDocument(platform, file, name.slice(0, -'.yaml'.length));
    if (!document.ok) {
      remarks.push(remarkOf(document.fault, shown(name)));
      continue;
    }
    documents.push(document.value);
    remarks.push(...lintOne(platform, { folder, file: shown(name) }, document.value));
  }
  const broken = remarks.some(({ gravity }) => gravity === 'error');
  const ordered = inOrder(documents.flatMap(asGeneration));
  // With a document that does not read, what others need of it only seems to be missing.
  if (!ordered.ok && !(broken && ordered.fault.code === 'plan.unknown-dependency')) {
    remarks.push(remarkOf(ordered.fault, `channels/${channel}`));
  }
  if (!broken && ordered.ok) {
    const compiled = compileChannel(platform, folder);
    const fitting = compiled.ok ? checkValuesOnly(channel, compiled.value) : compiled;
    if (!fitting.ok) remarks.push(remarkOf(fitting.fault, `channels/${channel}`));
  }
  return [...remarks, ...unused(platform.files, { folder, channel }, documents)];
}

function lintOne(
  platform: LintPlatform,
  { folder, file }: { readonly folder: string; readonly file: string },
  document: Document,
): readonly Remark[] {
  const { deployment } = document;
  if (!deployment) return [];
  const blobs = blobNames(deployment).flatMap((name): readonly Remark[] => {
    const blob = readBlob(platform, folder, { document: deployment.id, name });
    if (!blob.ok) return [remarkOf(blob.fault, file)];
    return holdsKey(platform.files, `${folder}/${name}`)
      ? [remark('secret-in-blob', file, `blob ${name} holds a private key`)]
      : [];
  });
  return [...lintedOf(file, document), ...blobs];
}

function holdsKey(files: Files, path: string): boolean {
  const slash = path.lastIndexOf('/');
  const directory = files.open(path.slice(0, slash), { follow: true });
  if (!directory.ok) return false;
  const file = directory.value.openFile(path.slice(slash + 1));
  directory.value.close();
  if (!file.ok) return false;
  const bytes = file.value.read(0, HEAD_BYTES);
  file.value.close();
  return bytes.ok && PRIVATE.test(Buffer.from(bytes.value).toString('latin1'));
}

/** Files of the channel's folder that no document names, neither alone nor inside a tree. */
function unused(
  files: Files,
  { folder, channel }: { readonly folder: string; readonly channel: string },
  documents: readonly Document[],
): readonly Remark[] {
  const named = documents.flatMap(({ deployment }) => (deployment ? blobNames(deployment) : []));
  const plain = named.map((name) => name.replace(/^\.\//, '').replace(/\/+$/, ''));
  const isUsed = (path: string) =>
    plain.some((name) => path === name || path.startsWith(`${name}/`));
  const found: Remark[] = [];
  let left = FILES_MAX;
  const visit = (below: string): void => {
    const directory = files.open(below === '' ? folder : `${folder}/${below}`, { follow: true });
    if (!directory.ok) return;
    const names = directory.value.list();
    for (const name of names.ok ? [...names.value].sort() : []) {
      left -= 1;
      if (left < 0) break;
      const path = below === '' ? name : `${below}/${name}`;
      if (IGNORED.test(name) || isUsed(path) || (below === '' && name.endsWith('.yaml'))) continue;
      const entry = directory.value.stat(name);
      if (entry.ok && entry.value?.kind === 'directory') visit(path);
      else found.push(remark('unused-file', `channels/${channel}/${path}`, 'no document names it'));
    }
    directory.value.close();
  };
  visit('');
  return found;
}
