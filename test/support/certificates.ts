/** Certificates as files beside each other, made by the openssl command: FOLDER/NAME.pem and .key. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Paths of one certificate and its key, both PEM. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

/** Lines of an openssl extension file. */
export const SERVER: readonly string[] = [
  'subjectAltName=DNS:localhost,IP:127.0.0.1',
  'basicConstraints=critical,CA:FALSE',
  'keyUsage=critical,digitalSignature',
  'extendedKeyUsage=serverAuth',
];
export const CLIENT: readonly string[] = [
  'subjectAltName=DNS:client',
  'basicConstraints=critical,CA:FALSE',
  'keyUsage=critical,digitalSignature',
  'extendedKeyUsage=clientAuth',
];

const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
const CA_DAYS = '3650';
const LEAF_DAYS = '30';

function openssl(...args: readonly string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

function filesOf(folder: string, name: string): CertificateFiles {
  return { cert: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) };
}

/** A self-signed authority, valid for ten years. */
export function makeCa(folder: string, name: string): CertificateFiles {
  const files = filesOf(folder, name);
  openssl(
    ...['req', '-x509', ...EC, '-keyout', files.key, '-out', files.cert, '-days', CA_DAYS],
    ...['-subj', `/CN=${name}`, '-addext', 'keyUsage=critical,keyCertSign'],
  );
  return files;
}

/** A certificate of `ca`, valid for 30 days, with these extensions. */
export function makeLeaf(
  folder: string,
  name: string,
  ca: CertificateFiles,
  extensions: readonly string[],
): CertificateFiles {
  const files = filesOf(folder, name);
  const request = join(folder, `${name}.csr`);
  const lines = join(folder, `${name}.ext`);
  writeFileSync(lines, extensions.join('\n'));
  openssl('req', ...EC, '-keyout', files.key, '-out', request, '-subj', `/CN=${name}`);
  openssl(
    ...['x509', '-req', '-in', request, '-CA', ca.cert, '-CAkey', ca.key, '-CAcreateserial'],
    ...['-out', files.cert, '-days', LEAF_DAYS, '-extfile', lines],
  );
  return files;
}
