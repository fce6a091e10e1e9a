/**
 * Values that a service reads from a file (`secrets` with `environment`): on a file system that a reboot
 * empties, written before a container starts, gone with the deployment. The path says nothing of the
 * value, and the engine is never told it.
 */
import { folderOf } from '#apply/folder-name.ts';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Directory } from '#platform/files.ts';
import { mountOf, readMounts } from '#platform/mount-table.ts';
import type { Generation } from '#state/generation.ts';
import type { ComposeEnv } from './compose-env.ts';
import type { ReadyComponent } from './compose-resolve.ts';
import { parameterOf } from './compose-variables-of.ts';

const FOLDER = 'compose-secrets';
const VOLATILE = new Set(['tmpfs', 'ramfs']);
const VALUE_BYTES = 64 * 1024;

export function secretPath({ runDir }: Pick<ComposeEnv, 'runDir'>, id: string) {
  return (component: string, service: string, variable: string) =>
    `${runDir}/${FOLDER}/${folderOf(id)}/${nameOf(component, service, variable)}`;
}

function nameOf(component: string, service: string, variable: string): string {
  return folderOf(`${component}.${service}.${variable}`);
}

/** A file that holds its value already stays the file that a running container has. */
export function writeSecrets(
  env: ComposeEnv,
  of: Generation,
  ready: readonly ReadyComponent[],
): Result<void> {
  const wanted = ready.flatMap(({ component, project }) =>
    project.services.flatMap((service) =>
      service.mounts.flatMap((mount) =>
        mount.kind === 'secret'
          ? [{ mount, component: component.name, service: service.name }]
          : [],
      ),
    ),
  );
  if (wanted.length === 0) return clearSecrets(env, of.id);
  const sealed = (of.secrets?.size ?? 0) > 0;
  const place = sealed ? checkVolatile(env, of.id) : ok(undefined);
  if (!place.ok) return place;
  const folder = openFolder(env, of.id);
  if (!folder.ok) return folder;
  try {
    for (const { mount, component, service } of wanted) {
      const value = valueOfVariable(env, of, component, mount.variable);
      if (!value.ok) return value;
      const written = writeOne(folder.value, nameOf(component, service, mount.variable), {
        ...mount,
        text: value.value,
      });
      if (!written.ok) return written;
    }
    return ok(undefined);
  } finally {
    folder.value.close();
  }
}

function valueOfVariable(
  env: ComposeEnv,
  of: Generation,
  component: string,
  variable: string,
): Result<string> {
  const parameter = parameterOf(of, component, variable) ?? '';
  const secret = of.secrets?.get(parameter);
  if (secret) return env.secrets.open(secret);
  const text = of.values.get(parameter);
  if (text !== undefined) return ok(text);
  const reason = `the secret ${variable} has no value: no parameter sets it for component ${component}`;
  return refuse('compose.file', { deployment: of.id, reason });
}

function writeOne(
  folder: Directory,
  name: string,
  { text, mode, uid, gid }: { text: string; mode: number; uid: number; gid: number },
): Result<void> {
  const before = folder.read(name, VALUE_BYTES);
  if (before.ok && Buffer.from(before.value).equals(Buffer.from(text))) return ok(undefined);
  const cleared = folder.removeTree(`${name}.new`);
  if (!cleared.ok) return cleared;
  const file = folder.create(`${name}.new`, 0o600);
  if (!file.ok) return file;
  const wrote = file.value.write(Buffer.from(text));
  const owned = wrote.ok && (uid !== 0 || gid !== 0) ? file.value.chown(uid, gid) : wrote;
  const moded = owned.ok ? file.value.chmod(mode) : owned;
  file.value.close();
  return moded.ok ? folder.rename(`${name}.new`, name) : moded;
}

function checkVolatile({ files, runDir }: ComposeEnv, deployment: string): Result<void> {
  const path = files.realPath(runDir);
  const table = readMounts(files);
  const found = path.ok && table ? (mountOf(table, path.value)?.type ?? null) : null;
  if (found !== null && VOLATILE.has(found)) return ok(undefined);
  const text = found ?? 'a file system that cannot be told';
  return refuse('values.not-volatile', { deployment, runDir, found: text });
}

function openFolder({ files, runDir }: ComposeEnv, id: string): Result<Directory> {
  const top = files.open(`${runDir}/${FOLDER}`, { follow: true, create: 0o700 });
  if (!top.ok) return top;
  const own = top.value.directory(folderOf(id), { create: 0o700 });
  top.value.close();
  return own;
}

export function clearSecrets({ files, runDir }: ComposeEnv, id: string): Result<void> {
  const top = files.open(`${runDir}/${FOLDER}`, { follow: true });
  if (!top.ok) return top.fault.code === 'platform.missing' ? ok(undefined) : top;
  const removed = top.value.removeTree(folderOf(id));
  top.value.close();
  return removed;
}
