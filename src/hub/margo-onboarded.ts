/**
 * Clients of the older dialects that this manager has onboarded: a certificate each, in a file named by the
 * id, fsynced before the id is told. The id follows from the certificate, so the same one always gets
 * the same id, also when the hub's folder was lost.
 */
import { ok, type Result } from '#errors/fault.ts';
import type { Files } from '#platform/files.ts';
import { replaceFile } from '#platform/replace-file.ts';
import { type Digest, hexOf, sha256 } from '#state/digest.ts';

export interface MargoOnboarded {
  /** DER; null: nobody was given this id */
  certificate(clientId: string): Uint8Array | null;
  /** @returns the id; null: there are as many as this hub takes */
  add(certificate: Uint8Array): Result<string | null>;
  close(): void;
}

const CLIENTS_MAX = 5_000;
const CERTIFICATE_BYTES = 16 * 1024;
const LIST_BYTES = 1024 * 1024;
const MODE = 0o700;

export function openMargoOnboarded(files: Files, folder: string): Result<MargoOnboarded> {
  const directory = files.open(`${folder}/onboarded`, { create: MODE, follow: true });
  if (!directory.ok) return directory;
  const names = directory.value.list();
  if (!names.ok) return names;
  const known = new Map<string, Uint8Array>();
  for (const name of names.value) {
    const bytes = name.endsWith('.der') ? directory.value.read(name, CERTIFICATE_BYTES) : null;
    if (bytes && !bytes.ok) return bytes;
    // One that is damaged is as if it were not there; handed in again it gets the same id.
    if (bytes?.ok && `${idOf(bytes.value)}.der` === name) known.set(idOf(bytes.value), bytes.value);
  }
  return ok({
    certificate: (clientId) => known.get(clientId) ?? null,
    add(certificate) {
      const id = idOf(certificate);
      if (known.has(id)) return ok(id);
      if (known.size >= CLIENTS_MAX) return ok(null);
      const put = replaceFile(directory.value, `${id}.der`, certificate);
      if (!put.ok) return put;
      known.set(id, certificate);
      return ok(id);
    },
    close: () => directory.value.close(),
  });
}

/** A UUID of the form that RFC 9562 leaves to everybody (version 8), of the certificate's SHA-256. */
function idOf(certificate: Uint8Array): string {
  const hex = hexOf(sha256(certificate));
  const variant = '89ab'[Number.parseInt(hex[16] ?? '0', 16) % 4] ?? '8';
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/**
 * The operator's list of certificates that may onboard and ask, a SHA-256 fingerprint a line, as
 * `sha256:…` or as openssl prints it; what follows `#` is for people. Read at each request; a list that
 * cannot be read lets nobody in.
 */
export function isAcceptedCertificate(files: Files, list: string, fingerprint: Digest): boolean {
  const bytes = files.readFile(list, LIST_BYTES);
  const lines = bytes.ok ? Buffer.from(bytes.value).toString('utf8').split('\n') : [];
  return lines.some((line) => {
    const [written = ''] = line.split('#', 1);
    const last = written.slice(written.lastIndexOf('=') + 1).trim();
    const hex = last.replace(/^sha256:/i, '').replaceAll(':', '');
    return hex.toLowerCase() === hexOf(fingerprint);
  });
}
