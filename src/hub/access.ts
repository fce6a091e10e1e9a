/**
 * Who may do what at a hub with TLS. A device is whoever shows a credential of the enrolment store
 * that is in force; an operator whoever knows an operator's secret; nobody else gets in. Devices
 * read the registry; at the broker they speak for themselves alone (broker-access.ts).
 */
import type { Clock } from '#platform/clock.ts';
import type { RemotePeer } from '#platform/listener.ts';
import type { Log } from '#platform/log.ts';
import type { CredentialRecord, DeviceRecord } from './enrolment-records.ts';
import type { EnrolmentStore } from './enrolment-store.ts';
import { isSecretOf, secretHash } from './nonces.ts';
import { type Ration, ration } from './ration.ts';

export type Identity =
  | {
      readonly kind: 'device';
      readonly id: string;
      /** of the credential that was shown */
      readonly credential: CredentialRecord;
    }
  | { readonly kind: 'operator'; readonly name: string };

export interface Access {
  /** Null: nobody. A credential that is used for the first time is from now on the one. */
  identify(peer: RemotePeer, account: Account | null): Identity | null;
  /** ms that this address has to wait after too many failures */
  waitMs(address: string): number;
  /** Called with a device id whose credentials no longer count, or an operator's name. */
  onRevoked(call: (name: string) => void): void;
  revoked(name: string): void;
}

export interface Account {
  readonly username: string;
  readonly password: string;
}

export interface AccessInput {
  readonly clock: Clock;
  readonly log: Log;
  readonly store: EnrolmentStore;
}

/** ms that the credential before goes on counting once the new one was used */
const OVERLAP_MS = 24 * 3_600_000;

export function accessOf(input: AccessInput): Access {
  const failures: Ration = ration(input.clock);
  const listeners: ((name: string) => void)[] = [];
  return {
    identify(peer, account) {
      if (peer.certificate !== null) {
        const shown = deviceOf(input, secretHash(peer.certificate));
        if (shown) return shown;
      }
      if (account === null || failures.waitMs(peer.address) > 0) return null;
      const known = byAccount(input, account);
      if (!known) failures.failed(peer.address);
      return known;
    },
    waitMs: (address) => failures.waitMs(address),
    onRevoked: (call) => void listeners.push(call),
    revoked(name) {
      for (const call of listeners) call(name);
    },
  };
}

function byAccount(input: AccessInput, { username, password }: Account): Identity | null {
  const operator = input.store.operators.get(username);
  if (operator) {
    const proves = isSecretOf(password, operator.secretHash);
    return proves ? { kind: 'operator', name: username } : null;
  }
  const device = deviceOf(input, secretHash(password));
  const own = device?.kind === 'device' && device.id === username;
  return own && device.credential.kind === 'token' ? device : null;
}

/** The digest of a random secret of 256 bits is looked up: there is nothing to learn by timing it. */
function deviceOf(input: AccessInput, fingerprint: string): Identity | null {
  const held = input.store.holderOf(fingerprint);
  if (!held || (held.device.state !== 'enrolled' && held.device.state !== 'approved')) return null;
  const { device, credential } = held;
  const now = input.clock.wallMs();
  const replaced = credential.replacedAt > 0 && credential.replacedAt + OVERLAP_MS <= now;
  if (replaced || credential.notAfter <= now) return null;
  if (credential.proven) return { kind: 'device', id: device.id, credential };
  const proven = prove(input, device, credential);
  return { kind: 'device', id: device.id, credential: proven };
}

/** The ones before it count for the overlap; what ended is forgotten. */
function prove(
  { store, clock, log }: AccessInput,
  device: DeviceRecord,
  credential: CredentialRecord,
): CredentialRecord {
  const now = clock.wallMs();
  const proven: CredentialRecord = { ...credential, proven: true, certificate: '' };
  const before = device.credentials
    .filter(({ fingerprint }) => fingerprint !== credential.fingerprint)
    .map((one) => (one.replacedAt > 0 ? one : { ...one, replacedAt: now }))
    .filter(({ replacedAt, notAfter }) => replacedAt + OVERLAP_MS > now && notAfter > now);
  const put = store.devices.put({ ...device, credentials: [...before, proven] });
  // It counts all the same, and is marked at its next use: the disk is full or failing.
  if (!put.ok) log.write('warn', 'hub.unrecorded', { code: put.fault.code });
  return put.ok ? proven : credential;
}
