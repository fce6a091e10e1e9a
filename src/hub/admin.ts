/**
 * What an operator does with enrolments, as one function of a request: the running hub serves it on
 * its own socket (hub.sock, 0600), and a command that finds no hub running calls it on the folder.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { Random } from '#platform/random.ts';
import type { Digest } from '#state/digest.ts';
import { fingerprintGroups, fingerprintWords, isFingerprintOf } from '#state/enrolment.ts';
import { isDeviceId, isId } from '#state/names.ts';
import { writeEnrolmentToken } from '#wire/enrolment.ts';
import type { CredentialRecord, DeviceRecord, DeviceState } from './enrolment-records.ts';
import type { EnrolmentStore } from './enrolment-store.ts';
import { secretHash } from './nonces.ts';

export type AdminRequest =
  | { readonly do: 'list' }
  | { readonly do: 'approve'; readonly who: string; readonly replace: boolean }
  | { readonly do: 'deny' | 'revoke'; readonly who: string }
  | TokenWish
  | { readonly do: 'operator'; readonly name: string };

export interface TokenWish {
  readonly do: 'token';
  /** device ids or patterns: a token for each, `count` times */
  readonly devices: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly lifeMs: number;
  readonly count: number;
  readonly url: string;
}

export interface DeviceView {
  readonly id: string;
  readonly state: DeviceState;
  readonly fingerprint: string;
  readonly words: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly askedAt: number;
  readonly address: string;
  readonly kind: string;
  /** of the credential in use; 0: none */
  readonly notAfter: number;
  /** the key that has this name now is another one */
  readonly nameTaken: boolean;
}

export type AdminAnswer =
  | {
      readonly hub: string;
      readonly devices: readonly DeviceView[];
      readonly tokens: readonly { id: string; device: string; expiresAt: number; used: boolean }[];
      readonly operators: readonly string[];
    }
  | { readonly done: string }
  | { readonly tokens: readonly { readonly device: string; readonly token: string }[] }
  | { readonly operator: string; readonly secret: string };

export interface AdminInput {
  readonly store: EnrolmentStore;
  readonly clock: Pick<Clock, 'wallMs'>;
  readonly random: Random;
  /** of the hub's CA */
  readonly hub: Digest;
  /** of the root document that the hub hands out; null: none */
  readonly root: () => Digest | null;
  /** what counted under this name counts no more */
  revoked(name: string): void;
  /** where devices ask the hub, unless a token is to say another address */
  readonly url: string;
}

const TOKEN_ID_BYTES = 8;
const TOKEN_SECRET_BYTES = 24;
const OPERATOR_SECRET_BYTES = 24;
const TOKENS_AT_ONCE = 5_000;
const LIFE_MAX_MS = 366 * 86_400_000;
/** enough of a fingerprint to mean one device */
const PREFIX_MIN = 8;

export function administer(input: AdminInput, request: AdminRequest): Result<AdminAnswer> {
  switch (request.do) {
    case 'list':
      return ok(listed(input));
    case 'approve':
      return approve(input, request);
    case 'deny':
      return turnAway(input, request.who, 'denied');
    case 'revoke':
      return revoke(input, request.who);
    case 'token':
      return makeTokens(input, request);
    case 'operator':
      return makeOperator(input, request.name);
  }
}

function listed({ store, hub, clock }: AdminInput): AdminAnswer {
  const now = clock.wallMs();
  return {
    hub,
    devices: [...store.devices.all()].map((device) => viewOf(store, device)),
    tokens: [...store.tokens.all()]
      .filter(({ expiresAt }) => expiresAt > now)
      .map(({ id, device, expiresAt, usedBy }) => ({ id, device, expiresAt, used: usedBy !== '' })),
    operators: [...store.operators.all()].map(({ name }) => name),
  };
}

function viewOf(store: EnrolmentStore, device: DeviceRecord): DeviceView {
  const key = Buffer.from(device.key, 'base64');
  const { id, state, labels, askedAt, address, kind } = device;
  const holder = store.deviceNamed(id);
  return {
    ...{ id, state, labels, askedAt, address, kind },
    fingerprint: fingerprintGroups(key),
    words: fingerprintWords(key),
    notAfter: currentOf(device)?.notAfter ?? 0,
    nameTaken: holder !== null && holder.keyid !== device.keyid,
  };
}

function currentOf({ credentials }: DeviceRecord): CredentialRecord | undefined {
  return credentials.findLast(({ proven }) => proven) ?? credentials.at(-1);
}

/** By device id, fingerprint (groups, words, hex, or its beginning); exactly one. */
function find(
  { store }: AdminInput,
  who: string,
  fits: (device: DeviceRecord) => boolean,
): Result<DeviceRecord> {
  const plain = who.trim().toLowerCase().replaceAll(/[\s:]/g, '');
  const prefix = /^[0-9a-f]+$/.test(plain) && plain.length >= PREFIX_MIN ? plain : null;
  const found = [...store.devices.all()].filter(
    (device) =>
      fits(device) &&
      (device.id === who ||
        isFingerprintOf(who, Buffer.from(device.key, 'base64')) ||
        (prefix !== null && device.keyid.startsWith(prefix))),
  );
  const [only] = found;
  if (only && found.length === 1) return ok(only);
  const reason = only ? `${found.length} devices go by that: name a fingerprint` : 'no such device';
  return refuse('hub.no-record', { who: who.slice(0, 120), reason });
}

function approve(
  input: AdminInput,
  { who, replace }: { readonly who: string; readonly replace: boolean },
): Result<AdminAnswer> {
  const { store } = input;
  const found = find(input, who, ({ state }) => state !== 'enrolled' && state !== 'approved');
  if (!found.ok) return found;
  const device = found.value;
  const holder = store.deviceNamed(device.id);
  if (holder && holder.keyid !== device.keyid) {
    if (!replace) return refuse('enroll.id-taken', { device: device.id });
    const out = store.devices.put({ ...holder, state: 'revoked', credentials: [] });
    if (!out.ok) return out;
    input.revoked(holder.id);
  }
  const put = store.devices.put({ ...device, state: 'approved', token: '', credentials: [] });
  return put.ok ? ok({ done: `${device.id} is approved` }) : put;
}

function turnAway(
  input: AdminInput,
  who: string,
  state: 'denied' | 'revoked',
): Result<AdminAnswer> {
  const wanted = state === 'denied' ? ['waiting', 'approved'] : ['enrolled', 'approved'];
  const found = find(input, who, (device) => wanted.includes(device.state));
  if (!found.ok) return found;
  const put = input.store.devices.put({ ...found.value, state, credentials: [] });
  if (!put.ok) return put;
  input.revoked(found.value.id);
  return ok({ done: `${found.value.id} is ${state}` });
}

/** A token by its id, an operator by name, else a device. */
function revoke(input: AdminInput, who: string): Result<AdminAnswer> {
  const { store } = input;
  const token = store.tokens.get(who);
  if (token) {
    const dropped = store.tokens.drop(who);
    return dropped.ok ? ok({ done: `token ${who} is void` }) : dropped;
  }
  const operator = who.startsWith('operator/') ? who.slice('operator/'.length) : null;
  if (operator === null) return turnAway(input, who, 'revoked');
  if (!store.operators.get(operator)) {
    return refuse('hub.no-record', { who, reason: 'no such operator' });
  }
  const dropped = store.operators.drop(operator);
  if (!dropped.ok) return dropped;
  input.revoked(operator);
  return ok({ done: `${who} is revoked` });
}

function makeTokens(input: AdminInput, wish: TokenWish): Result<AdminAnswer> {
  const { store, clock, random, hub } = input;
  const no = (reason: string): Result<AdminAnswer> =>
    refuse('hub.no-record', { who: 'token', reason });
  const wanted = wish.devices.flatMap((device) => Array.from({ length: wish.count }, () => device));
  if (wanted.length === 0 || wanted.length > TOKENS_AT_ONCE) {
    return no(`1 to ${TOKENS_AT_ONCE} at once`);
  }
  if (!(wish.lifeMs > 0 && wish.lifeMs <= LIFE_MAX_MS)) return no('they live for up to a year');
  const odd = wish.devices.find((device) => !isDeviceId(device.replaceAll('*', 'a')));
  if (odd !== undefined) return no(`${odd} is no device id and no pattern of one`);
  const url = wish.url === '' ? input.url : wish.url;
  if (!/^https:\/\/[^\s/@?#]+\/?$/.test(url)) return no(`${url} is no https://host:port`);
  const now = clock.wallMs();
  for (const { id, expiresAt } of [...store.tokens.all()]) {
    if (expiresAt > now) continue;
    const dropped = store.tokens.drop(id);
    if (!dropped.ok) return dropped;
  }
  const tokens: { device: string; token: string }[] = [];
  for (const device of wanted) {
    const [id, secret] = [random.bytes(TOKEN_ID_BYTES), random.bytes(TOKEN_SECRET_BYTES)];
    const put = store.tokens.put({
      id: Buffer.from(id).toString('hex'),
      secretHash: secretHash(secret),
      madeAt: now,
      expiresAt: now + wish.lifeMs,
      device,
      labels: wish.labels,
      usedBy: '',
    });
    if (!put.ok) return put;
    const token = writeEnrolmentToken({ id, secret, hub, root: input.root(), url });
    tokens.push({ device, token });
  }
  return ok({ tokens });
}

function makeOperator({ store, clock, random }: AdminInput, name: string): Result<AdminAnswer> {
  if (!isId(name)) return refuse('hub.no-record', { who: name, reason: 'no name for an operator' });
  const secret = Buffer.from(random.bytes(OPERATOR_SECRET_BYTES)).toString('base64url');
  const put = store.operators.put({
    name,
    secretHash: secretHash(secret),
    madeAt: clock.wallMs(),
  });
  return put.ok ? ok({ operator: name, secret }) : put;
}
