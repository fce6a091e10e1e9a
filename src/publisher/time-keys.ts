/** The keys of the role `time`: files named on the command line, or keys/signing/time.pem. */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Platform } from '#platform/platform.ts';
import type { Signer } from '#platform/signer.ts';
import { TIME_ROLE } from '#state/time-statement.ts';
import { keyidOf } from '#trust/ed25519.ts';
import type { Fleet } from './fleet.ts';
import { loadSigner, openSigner, type Passphrases } from './keys.ts';

/** @param files  absolute; none: the key that `init --time-key` made */
export async function openTimeSigners(
  platform: Pick<Platform, 'files' | 'keyFiles'>,
  fleet: Fleet,
  files: readonly string[],
  passphrases: Passphrases,
): Promise<Result<readonly Signer[]>> {
  const role = fleet.root.roles.find(({ name }) => name === TIME_ROLE);
  if (!role) return refuse('publish.time-role', { version: fleet.root.version });
  if (fleet.config.channels.has(TIME_ROLE)) return refuse('publish.time-channel', {});
  const own = { use: 'signing', name: TIME_ROLE } as const;
  const signers: Signer[] = [];
  for (const file of files.length > 0 ? files : [null]) {
    const signer =
      file === null
        ? await openSigner(platform, fleet.directory, own, passphrases)
        : await loadSigner(platform, file, file, passphrases);
    if (!signer.ok) return signer;
    const keyid = keyidOf(signer.value.publicKey);
    if (!role.keyids.includes(keyid)) {
      const key = keyid.slice(0, 16);
      return refuse('publish.time-key', { key, version: fleet.root.version });
    }
    signers.push(signer.value);
  }
  return ok(signers);
}
