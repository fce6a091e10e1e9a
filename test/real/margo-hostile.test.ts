/**
 * A hostile manager behind a certificate that is believed, in each dialect: every trick ends in a fault,
 * soon, with few bytes taken, whatever is asked for.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer, type Server } from 'node:tls';
import { gzipSync } from 'node:zlib';
import { ok, type Result } from '#errors/fault.ts';
import { type HttpLink, httpLink } from '#link/http.ts';
import { signedHttp } from '#link/http-signature.ts';
import { type MargoLink, margoLink } from '#link/margo.ts';
import { dateUrlOf, margoOnboarding } from '#link/margo-onboarding.ts';
import { unpacking } from '#link/unpacking.ts';
import { bunPlatform } from '#platform/bun/platform.ts';
import { sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { MARGO_DIALECTS, MARGO_MEDIA, type MargoDialect } from '#state/margo.ts';
import { type CertificateFiles, makeCa, makeLeaf, SERVER } from '../support/certificates.ts';
import { codeOf, value } from '../support/store.ts';

const platform = bunPlatform({ logLevel: 'error', logFormat: 'human' });
const CHUNK = Buffer.alloc(64 * 1024, 'x');
/** 64 chunks in one write, so that the test is about its reader */
const SMALL = `400\r\n${'x'.repeat(1_024)}\r\n`.repeat(64);
const TYPE = `Content-Type: ${MARGO_MEDIA.manifest}`;
const BOMB = gzipSync(Buffer.alloc(200 * 1024 * 1024));
/** what may be in flight beside a cap: buffers of both ends */
const SLACK = 24 * 1024 * 1024;

const head = (status: string, ...lines: readonly string[]): string =>
  [`HTTP/1.1 ${status}`, ...lines, '', ''].join('\r\n');

/** The same bytes for as long as anybody reads. */
function pour(socket: Socket, first: string, bytes: Uint8Array | string): void {
  socket.write(first);
  const more = (): void => {
    while (!socket.destroyed && socket.writable && socket.write(bytes));
    if (!socket.destroyed) socket.once('drain', more);
  };
  more();
}

const TRICKS: Readonly<Record<string, (socket: Socket) => void>> = {
  'an endless body': (at) => pour(at, head('200 OK', TYPE), CHUNK),
  'endless chunks': (at) => pour(at, head('200 OK', TYPE, 'Transfer-Encoding: chunked'), SMALL),
  'endless headers': (at) => pour(at, 'HTTP/1.1 200 OK\r\n', `X-A: ${'y'.repeat(999)}\r\n`),
  'a megabyte of headers': (at) =>
    at.end(
      `${head(
        '200 OK',
        TYPE,
        ...Array.from({ length: 1_000 }, (_, n) => `X-${n}: ${'y'.repeat(1_000)}`),
        'Content-Length: 2',
      )}{}`,
    ),
  'a length of 2^63': (at) => at.end(head('200 OK', TYPE, 'Content-Length: 9223372036854775807')),
  'a length above the body': (at) => at.end(`${head('200 OK', TYPE, 'Content-Length: 1000')}{}`),
  'an endless error': (at) => pour(at, head('500 Oh', 'Content-Type: application/json'), CHUNK),
  'an endless 401': (at) => pour(at, head('401 No', 'Date: Sun, 06 Nov 1994 08:49:37 GMT'), CHUNK),
  'a redirect to itself': (at) =>
    at.end(head('307 Go', 'Location: /api/v1/deployments', 'Content-Length: 0')),
  'a redirect elsewhere': (at) =>
    at.end(head('302 Go', 'Location: http://169.254.169.254/', 'Content-Length: 0')),
  'a bomb': (at) =>
    at.end(
      Buffer.concat([
        Buffer.from(
          head('200 OK', TYPE, 'Content-Encoding: gzip', `Content-Length: ${BOMB.length}`),
        ),
        BOMB,
      ]),
    ),
  'no HTTP': (at) => at.end('SSH-2.0-OpenSSH_9.2\r\n'),
  'an end at once': (at) => at.destroy(),
};

let folder: string;
let ca: CertificateFiles;
let server: Server;
let url: string;
let trick: (socket: Socket) => void = (at) => at.destroy();
let written = 0;
let connections = 0;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-hostile-'));
  ca = makeCa(folder, 'ca');
  const leaf = makeLeaf(folder, 'server', ca, SERVER);
  const pem = { cert: readFileSync(leaf.cert, 'utf8'), key: readFileSync(leaf.key, 'utf8') };
  server = createServer(pem, (socket) => {
    connections += 1;
    socket.on('error', () => {});
    socket.once('data', () => trick(socket));
    socket.once('close', () => {
      written += socket.bytesWritten;
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

function open(dialect: MargoDialect): {
  readonly link: MargoLink;
  readonly http: HttpLink;
  onboard(): Promise<Result<string>>;
} {
  const time = () => ({ floorMs: 0, wallPlausible: true });
  const keys = platform.x509.messageKeys;
  const pair = keys.make('d', 0);
  const signer = value(keys.signer(pair));
  // rc3 judges its peers itself, over a tunnel; here the peer is believed.
  const judge = dialect === 'rc3' ? { judge: () => ok() } : {};
  const directory = join(folder, `run-${dialect}`);
  const plain = httpLink(platform, { idleMs: 5_000, deadClock: { directory, time, ...judge } });
  const http = signedHttp(plain, { signer: () => ok(signer), time, dateUrl: dateUrlOf(url) });
  const access = { insecure: false, tls: { ca: ca.cert }, proxy: null };
  const way = { url, access, dialect };
  const over = unpacking(dialect === 'rc3' ? plain : http, platform.inflate);
  const client = async (): Promise<Result<string>> => ok('c-1');
  const link = value(margoLink(over, dialect === 'rc3' ? way : { ...way, client }));
  const onboarding = value(margoOnboarding(http, { url, access }));
  const certificate = { pem: pair.certificate, fingerprint: 'sha256:ab' };
  return { link, http: plain, onboard: () => onboarding.onboard(certificate) };
}

const digest = sha256(Buffer.from('x'));
const body = Buffer.from('{}');
const faultOf = (result: Result<unknown>): string => {
  if (!result.ok) return codeOf(result);
  const said = result.value as { code?: string } | null;
  return said?.code ?? 'ok';
};

for (const dialect of MARGO_DIALECTS) {
  describe(`${dialect}: a hostile manager costs little (rule 40)`, () => {
    for (const [name, play] of Object.entries(TRICKS)) {
      test(name, async () => {
        trick = play;
        const { link, http, onboard } = open(dialect);
        const { signal } = new AbortController();
        const asked: (() => Promise<Result<unknown>>)[] = [
          () => link.manifest('"e"', signal),
          () => link.bundle(digest, signal),
          () => link.document('d', digest, signal),
          () => link.putCapabilities('press-42', body),
          () => link.postStatus('d', body),
          ...(dialect === 'rc3' ? [] : [onboard]),
        ];
        const caps = [LIMITS.manifestBytes, LIMITS.documentsBytes, LIMITS.documentBytes];
        const allowed = caps.reduce((all, cap) => all + cap, 0) + asked.length * SLACK;
        [written, connections] = [0, 0];
        const ends: string[] = [];
        for (const ask of asked) ends.push(faultOf(await ask()));
        http.close();
        link.close();
        // Whatever is taken for a success here said 200 and less than was allowed.
        expect(ends[0]).toMatch(/^(link|margo|source|format)\./);
        expect(ends.length).toBe(asked.length);
        expect(connections).toBeLessThanOrEqual(2 * asked.length + 2);
        expect(written).toBeLessThan(allowed);
      });
    }
  });
}
