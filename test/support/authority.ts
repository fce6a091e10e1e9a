/** A certificate authority by the openssl command, for tests that speak TLS. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Authority {
  /** PEM of its own certificate */
  readonly cert: string;
  /** @param names  as in subjectAltName: `DNS:localhost,IP:127.0.0.1` */
  leaf(names: string, options?: LeafOptions): { readonly cert: string; readonly key: string };
  remove(): void;
}

export interface LeafOptions {
  /** negative: expired already */
  readonly days?: number;
  /** lines of an openssl extension file, instead of those of a server and client certificate */
  readonly extensions?: readonly string[];
}

const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

export function authority(name: string): Authority {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-ca-'));
  const at = (file: string): string => join(directory, file);
  const openssl = (...args: readonly string[]): void =>
    void execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  openssl(
    ...['req', '-x509', ...EC, '-keyout', at('ca.key'), '-out', at('ca.pem'), '-days', '3650'],
    ...['-subj', `/CN=${name}`, '-addext', 'keyUsage=critical,keyCertSign'],
  );
  let made = 0;
  return {
    cert: readFileSync(at('ca.pem'), 'utf8'),
    leaf(names, options = {}) {
      made += 1;
      const file = (suffix: string): string => at(`${made}.${suffix}`);
      const extensions = options.extensions ?? [
        'basicConstraints=critical,CA:FALSE',
        'keyUsage=critical,digitalSignature',
        'extendedKeyUsage=serverAuth,clientAuth',
      ];
      writeFileSync(file('ext'), [`subjectAltName=${names}`, ...extensions].join('\n'));
      openssl('req', ...EC, '-keyout', file('key'), '-out', file('csr'), '-subj', '/CN=leaf');
      openssl(
        ...['x509', '-req', '-in', file('csr'), '-CA', at('ca.pem'), '-CAkey', at('ca.key')],
        ...['-CAcreateserial', '-out', file('pem'), '-extfile', file('ext')],
        ...['-days', String(options.days ?? 100)],
      );
      return {
        cert: readFileSync(file('pem'), 'utf8'),
        key: readFileSync(file('key'), 'utf8'),
      };
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}
