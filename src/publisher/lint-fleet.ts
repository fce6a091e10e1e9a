/** What is unwise in fleet.yaml, the root document and the key folder. Reads, and writes nothing. */
import type { Files } from '#platform/files.ts';
import { channelOf } from '#state/root.ts';
import { ROOT_ROLE } from '#trust/root-sound.ts';
import { instantText } from '#trust/time.ts';
import type { Fleet } from './fleet.ts';
import { type Remark, remark } from './remark.ts';
import { keyNames } from './root-names.ts';

/** ms: time enough to bring root keys together */
const SOON_MS = 60 * 24 * 3_600_000;
const OTHERS = 0o077;
const FLEET_FILE = 'fleet.yaml';

export function lintFleet(files: Files, fleet: Fleet): readonly Remark[] {
  return [...links(fleet), ...channels(files, fleet), ...root(fleet), ...keyFiles(files, fleet)];
}

function links({ config }: Fleet): readonly Remark[] {
  const { registry, mqtt } = config;
  const inline = [registry?.auth, mqtt?.auth].some((auth) => auth && 'password' in auth);
  const open = [registry, mqtt].flatMap((one) =>
    one?.insecure && /^(?:http|mqtt):/.test(one.url) ? [one.url] : [],
  );
  return [
    ...(inline ? [remark('secret-in-fleet-yaml', FLEET_FILE, 'a password stands in it')] : []),
    ...open.map((url) => remark('not-encrypted', FLEET_FILE, `${url} is not encrypted`)),
  ];
}

function channels(files: Files, fleet: Fleet): readonly Remark[] {
  const { config, directory, root } = fleet;
  const signing = namesIn(files, `${directory}/keys/signing`);
  const missing = [...config.channels].flatMap(([channel, { signers }]) =>
    signers
      .filter((name) => !signing.includes(`${name}.pub.pem`))
      .map((name) =>
        remark(
          'signer-missing',
          FLEET_FILE,
          `${channel} is signed by ${name}, which is no key here`,
        ),
      ),
  );
  const folders = namesIn(files, `${directory}/channels`).filter(
    (name) => !config.channels.has(name) && !isOfDevice(name, fleet),
  );
  return [
    ...missing,
    ...folders.map((name) =>
      remark('unused-folder', `channels/${name}`, `fleet.yaml has no channel ${name}`),
    ),
    ...[...config.channels.keys()]
      .filter((name) => {
        const role = root.roles.find((one) => one.name === channelOf(root, name)?.role);
        return !root.demo && role?.threshold === 1 && role.keyids.length > 0;
      })
      .map((name) => ({
        ...remark('one-signature', FLEET_FILE, `one signature is enough to publish ${name}`),
        gravity: 'note' as const,
      })),
  ];
}

/** `device.press-7` stands for one device; `device.*` in the root names them all. */
function isOfDevice(name: string, { root }: Fleet): boolean {
  return name.startsWith('device.') && channelOf(root, name) !== null;
}

function root({ root: newest, time }: Fleet): readonly Remark[] {
  const file = `root/${newest.version}.root.json`;
  const now = time.estimateMs;
  const remarks: Remark[] = [];
  if (newest.notAfter !== 0 && newest.notAfter - now < SOON_MS) {
    const when = instantText(newest.notAfter);
    const ended = newest.notAfter < now;
    const message = ended
      ? `the root ended ${when}: nothing can be published`
      : `the root ends ${when}`;
    remarks.push({ ...remark('root-ends', file, message), ...(ended ? { gravity: 'error' } : {}) });
  }
  const nameOf = keyNames(newest);
  for (const { keyid, notAfter } of newest.keys) {
    if (notAfter === 0 || notAfter - now >= SOON_MS) continue;
    if (!newest.roles.some(({ keyids }) => keyids.includes(keyid))) continue;
    const when = instantText(notAfter);
    remarks.push(remark('key-ends', file, `key ${nameOf(keyid)} ends ${when}`));
  }
  const role = newest.roles.find(({ name }) => name === ROOT_ROLE);
  if (!newest.demo && role?.threshold === 1) {
    const message = 'one root key alone changes who may sign: whoever has it has the fleet';
    remarks.push(remark('one-key-root', file, message));
  }
  return remarks;
}

/** Private keys that others than their owner can read. */
function keyFiles(files: Files, { directory }: Fleet): readonly Remark[] {
  return ['root', 'signing', 'time'].flatMap((use) => {
    const folder = files.open(`${directory}/keys/${use}`, { follow: true });
    if (!folder.ok) return [];
    const names = folder.value.list();
    const open = (names.ok ? names.value : []).filter((name) => {
      if (!name.endsWith('.pem') || name.endsWith('.pub.pem')) return false;
      const entry = folder.value.stat(name);
      return entry.ok && entry.value?.kind === 'file' && (entry.value.mode & OTHERS) !== 0;
    });
    folder.value.close();
    return open.map((name) =>
      remark('open-key', `keys/${use}/${name}`, 'others on this machine can read this private key'),
    );
  });
}

function namesIn(files: Files, path: string): readonly string[] {
  const folder = files.open(path, { follow: true });
  if (!folder.ok) return [];
  const names = folder.value.list();
  folder.value.close();
  return names.ok ? names.value : [];
}
