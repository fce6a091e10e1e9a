/**
 * The HTTP side of a hub with TLS: enrolment, which is open to whoever has a device key; the proof
 * of a credential; and the registry behind a check of who asks. Devices read; what is in another
 * device's own channel is not theirs to look up. Operators push, and read the fleet.
 */
import type { Fault } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { RemotePeer, ServedRequest, ServedResponse } from '#platform/listener.ts';
import { REQUEST_BYTES, writeEnrolmentAnswer } from '#wire/enrolment.ts';
import type { Access, Account, Identity } from './access.ts';
import { refusal } from './answers.ts';
import { wholeBody } from './body.ts';
import type { Enrolment } from './enrolment.ts';
import { type FleetRoutes, isFleetPath } from './fleet-routes.ts';
import { routeOf } from './names.ts';
import { type Ration, ration } from './ration.ts';
import type { RegistryHandler } from './registry.ts';

export interface GateInput {
  readonly clock: Clock;
  readonly access: Access;
  readonly enrolment: Enrolment;
  readonly registry: RegistryHandler;
  readonly fleet: Pick<FleetRoutes, 'answer'>;
}

const NOBODY: RemotePeer = { address: '', certificate: null };
const STATUS: Partial<Record<Fault['code'], number>> = {
  'enroll.request': 400,
  'enroll.refused': 403,
  'enroll.denied': 403,
  'enroll.expired': 403,
  'enroll.id-taken': 409,
  'hub.enrolment-full': 429,
};
const ACCOUNT_MAX = 1_024;

export function gateOf(input: GateInput): RegistryHandler {
  const failures = ration(input.clock);
  return async (request) => {
    const [path = ''] = request.target.split('?', 1);
    if (path === '/v1/enrolment') return enrol(input, failures, request);
    const peer = request.peer ?? NOBODY;
    const who = input.access.identify(peer, accountOf(request.headers.authorization));
    if (path === '/v1/credential') return who ? credentialOf(input, who) : unknown(input, peer);
    if (!who) return unknown(input, peer);
    if (isFleetPath(path)) return fleetFor(input, request, who);
    const barred = who.kind === 'device' ? barredFor(who.id, request, path) : null;
    return barred === null ? input.registry(request) : refusal('DENIED', barred);
  };
}

function fleetFor({ fleet }: GateInput, request: ServedRequest, who: Identity): ServedResponse {
  if (who.kind === 'device') return refusal('DENIED', 'operators read the fleet');
  return fleet.answer(request, who.name) ?? { status: 404 };
}

/** The gate of a hub whose clients may be anybody has none; of one with TLS, this. */
async function enrol(
  { enrolment, access }: GateInput,
  failures: Ration,
  request: ServedRequest,
): Promise<ServedResponse> {
  const peer = request.peer ?? NOBODY;
  if (request.method === 'GET') return bytes(200, enrolment.nonce());
  if (request.method !== 'POST') return { status: 405, headers: { allow: 'GET, POST' } };
  const waitMs = failures.waitMs(peer.address);
  if (waitMs > 0) return busy(waitMs);
  const body = await wholeBody(request.body, REQUEST_BYTES);
  if (body === null) return { status: 413 };
  const who = access.identify(peer, accountOf(request.headers.authorization));
  const deviceId = who?.kind === 'device' ? who.id : null;
  const answer = await enrolment.ask(body, { address: peer.address, deviceId });
  if (answer.ok) return bytes(200, writeEnrolmentAnswer(answer.value));
  const { code, message } = answer.fault;
  const status = STATUS[code] ?? 500;
  if (status < 429) failures.failed(peer.address);
  return {
    status,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ code, message }),
  };
}

/** What a device learns of the credential that it shows: that it opens this hub. */
function credentialOf({ clock }: GateInput, who: Identity): ServedResponse {
  const body =
    who.kind === 'operator'
      ? { operator: who.name }
      : {
          device: who.id,
          kind: who.credential.kind,
          fingerprint: who.credential.fingerprint,
          notAfter: who.credential.notAfter,
          renew: isDue(who.credential, clock.wallMs()),
        };
  return {
    status: 200,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  };
}

/** A device without a clock learns here that two thirds of its credential's life are over. */
function isDue(
  { issuedAt, notAfter }: { readonly issuedAt: number; readonly notAfter: number },
  now: number,
): boolean {
  return now >= issuedAt + ((notAfter - issuedAt) * 2) / 3;
}

function unknown({ access }: GateInput, { address }: RemotePeer): ServedResponse {
  const waitMs = access.waitMs(address);
  if (waitMs > 0) return busy(waitMs);
  const response = refusal('UNAUTHORIZED', 'a credential of this hub is needed');
  const challenge = { 'www-authenticate': 'Basic realm="holdfast"' };
  return { ...response, headers: { ...response.headers, ...challenge } };
}

/** Why a device may not; null: it may. */
function barredFor(id: string, { method }: ServedRequest, path: string): string | null {
  if (method !== 'GET' && method !== 'HEAD') return 'devices read; operators push';
  const route = routeOf(path);
  if (route.kind === 'tags') return 'devices do not list';
  if (route.kind !== 'manifest') return null;
  const own = `device.${id}`;
  const { reference } = route;
  const another = reference.startsWith('device.') && reference !== own;
  return another && !reference.startsWith(`${own}_`) ? 'that is another device’s channel' : null;
}

/** Of `Authorization: Basic`; null for anything else. @see RFC 7617 */
export function accountOf(header: string | undefined): Account | null {
  const match = /^Basic ([A-Za-z0-9+/=]+)$/i.exec(header ?? '');
  if (!match?.[1] || match[1].length > ACCOUNT_MAX) return null;
  const text = Buffer.from(match[1], 'base64').toString('utf8');
  const colon = text.indexOf(':');
  if (colon < 1) return null;
  return { username: text.slice(0, colon), password: text.slice(colon + 1) };
}

function busy(waitMs: number): ServedResponse {
  const response = refusal('TOOMANYREQUESTS', 'too many failures from this address');
  const wait = { 'retry-after': String(Math.ceil(waitMs / 1000)) };
  return { ...response, headers: { ...response.headers, ...wait } };
}

function bytes(status: number, body: Uint8Array): ServedResponse {
  return { status, headers: { 'content-type': 'application/octet-stream' }, body };
}
