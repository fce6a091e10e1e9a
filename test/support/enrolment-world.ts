/** The hub's side of enrolment on a folder of its own, by a clock that a test moves; and its devices. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Result } from '#errors/fault.ts';
import { type Access, accessOf } from '#hub/access.ts';
import { type AdminAnswer, type AdminRequest, administer } from '#hub/admin.ts';
import { type Authority, openAuthority } from '#hub/authority.ts';
import { type Enrolment, enrolment } from '#hub/enrolment.ts';
import { type EnrolmentStore, openEnrolmentStore } from '#hub/enrolment-store.ts';
import { parseCertificates } from '#platform/node/certificates.ts';
import { systemFiles } from '#platform/node/files.ts';
import { systemKeyFiles } from '#platform/node/key-files.ts';
import { systemRandom } from '#platform/node/random.ts';
import { systemX509 } from '#platform/node/x509.ts';
import type { EnrolmentAnswer, EnrolmentRequest, IssuedAnswer } from '#state/enrolment.ts';
import { PAYLOAD } from '#state/media-types.ts';
import { pae } from '#trust/dsse.ts';
import { writeEnrolmentRequest } from '#wire/enrolment.ts';
import { writeEnvelopeMessage } from '#wire/envelope-message.ts';
import { type ManualClock, manualClock } from './manual-clock.ts';

export const DAY_MS = 86_400_000;
export const LIFE_MS = 90 * DAY_MS;
export const GRACE_MS = 180 * DAY_MS;
const NOBODY = { address: '10.0.0.7', deviceId: null };

export interface HubWorld {
  readonly folder: string;
  readonly clock: ManualClock;
  readonly authority: Authority;
  readonly store: EnrolmentStore;
  readonly service: Enrolment;
  readonly access: Access;
  readonly revoked: string[];
  admin(request: AdminRequest): AdminAnswer;
  tryAdmin(request: AdminRequest): Result<AdminAnswer>;
  /** one token for these devices */
  token(device: string, more?: { lifeMs?: number; labels?: Record<string, string> }): string;
  /** The same folder, as after a restart. */
  again(): Promise<HubWorld>;
  close(): void;
}

export interface TestDevice {
  readonly key: Uint8Array;
  request(more?: Partial<EnrolmentRequest>): EnrolmentRequest;
  ask(more?: Partial<EnrolmentRequest>, caller?: string | null): Promise<Result<EnrolmentAnswer>>;
  /** Fails the test unless it was given one. */
  enrol(more?: Partial<EnrolmentRequest>, caller?: string | null): Promise<IssuedAnswer>;
  message(request: EnrolmentRequest, payloadType?: string): Promise<Uint8Array>;
}

const platform = {
  files: systemFiles(),
  x509: systemX509(),
  certificates: parseCertificates,
};

export async function hubWorld(clock = manualClock(), at?: string): Promise<HubWorld> {
  const folder = at ?? mkdtempSync(join(tmpdir(), 'holdfast-enrol-'));
  const names = ['hub.example', '127.0.0.1'];
  const authority = given(await openAuthority({ platform: { ...platform, clock }, folder, names }));
  const store = given(openEnrolmentStore(platform.files, folder));
  const log = { write: () => undefined };
  const random = systemRandom();
  const root = new Uint8Array();
  const offer = () => ({ registry: 'https://hub.example/p', mqtt: '', channel: 'stable', root });
  const times = { lifeMs: LIFE_MS, graceMs: GRACE_MS };
  const service = enrolment({ clock, random, log, store, authority, offer, ...times });
  const revoked: string[] = [];
  const tryAdmin = (request: AdminRequest) =>
    administer(
      {
        ...{ store, clock, random, hub: authority.digest, root: () => null },
        url: 'https://hub.example:5080',
        revoked: (name) => void revoked.push(name),
      },
      request,
    );
  const admin = (request: AdminRequest) => given(tryAdmin(request));
  return {
    ...{ folder, clock, authority, store, service, revoked, admin, tryAdmin },
    access: accessOf({ clock, log, store }),
    token(device, { lifeMs = DAY_MS, labels = {} } = {}) {
      const made = admin({ do: 'token', devices: [device], labels, lifeMs, count: 1, url: '' });
      return 'tokens' in made && 'token' in made.tokens[0]! ? made.tokens[0].token : '';
    },
    async again() {
      store.close();
      return hubWorld(clock, folder);
    },
    close() {
      store.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export function testDevice(hub: HubWorld, deviceId = 'press-7'): TestDevice {
  const pair = systemKeyFiles().generate(null);
  const signer = given(systemKeyFiles().load(pair.privatePem, null));
  const { csr } = platform.x509.makeRequest(deviceId);
  const device: TestDevice = {
    key: signer.publicKey,
    request: (more = {}) => ({
      ...{ purpose: 'enrol', hub: hub.authority.digest, nonce: hub.service.nonce() },
      ...{ deviceKey: signer.publicKey, deviceId, labels: {}, kind: 'certificate', csr },
      ...{ token: '', agentVersion: '0.1.0', ...more },
    }),
    async message(request, payloadType = PAYLOAD.enrolment) {
      const payload = writeEnrolmentRequest(request);
      const sig = given(await signer.sign(pae(payloadType, payload)));
      return writeEnvelopeMessage({ payloadType, payload, signatures: [{ keyid: '', sig }] });
    },
    async ask(more, caller = null) {
      const bytes = await device.message(device.request(more));
      return hub.service.ask(bytes, { ...NOBODY, deviceId: caller });
    },
    async enrol(more, caller) {
      const answer = given(await device.ask(more, caller));
      if (answer.kind !== 'issued') throw new Error('it waits');
      return answer;
    },
  };
  return device;
}

/** What a device shows after `enrol`: its certificate, or its account. */
export function shown(answer: IssuedAnswer): Parameters<Access['identify']> {
  const address = '10.0.0.7';
  const account = { username: answer.deviceId, password: answer.secret };
  if (answer.credential === 'token') return [{ address, certificate: null }, account];
  const [leaf] = given(parseCertificates(answer.certificate));
  return [{ address, certificate: leaf?.raw ?? null }, null];
}

export function given<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`${result.fault.code}: ${result.fault.message}`);
  return result.value;
}

export function codeOf(result: Result<unknown>): string {
  return result.ok ? 'ok' : result.fault.code;
}
