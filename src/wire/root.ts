/**
 * The root document: payload bytes ↔ `state/root`. Form only; whether it is in force is
 * trust/root-chain.ts. Roles and schemes this version does not know are kept and never count;
 * names that stand twice are refused, so that no reader can pick another one.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { ok, type Result, refuse } from '#errors/fault.ts';
import { LIMITS } from '#state/limits.ts';
import { isId } from '#state/names.ts';
import type { Role, Root, RootChannel, RootKey, Scheme } from '#state/root.ts';
import { type FieldCheck, fieldCheck, fleetToBytes } from './field-check.ts';
import {
  type Channel as ProtoChannel,
  type Key as ProtoKey,
  type Role as ProtoRole,
  Scheme as ProtoScheme,
  RootSchema,
} from './generated/holdfast_pb.ts';
import { readTlsTrust, writeTlsTrust } from './root-tls.ts';
import { readMessage } from './strict-protobuf.ts';

const SPEC_VERSION = 1;
const NAME_MAX = 255;
/** bytes: an RSA-8192 key in DER is half of it, so any scheme to come fits */
const PUBLIC_KEY_MAX = 4_096;

/** @param payload  of the envelope, at most LIMITS.rootBytes */
export function readRoot(payload: Uint8Array): Result<Root> {
  const message = readMessage(RootSchema, payload, 'root document', LIMITS.rootBytes);
  if (!message.ok) return message;
  const from = message.value;
  if (from.specVersion !== SPEC_VERSION) {
    return refuse('format.spec-version', { what: 'the root document', found: from.specVersion });
  }
  const check = fieldCheck();
  check.require(from.version >= 1n, 'version', 'it starts at 1');
  const root: Root = {
    fleet: check.fleet('fleet', from.fleet),
    version: from.version,
    issuedAt: check.time('issued_at', from.issuedAt),
    notAfter: check.time('not_after', from.notAfter),
    keys: from.keys.map((key, index) => readKey(check, key, index)),
    roles: from.roles.map((role, index) => readRole(check, role, index)),
    channels: from.channels.map((channel, index) => readChannel(check, channel, index)),
    timeReset: from.timeReset
      ? { notBefore: check.time('time_reset.not_before', from.timeReset.notBefore) }
      : null,
    demo: from.demo,
    critical: from.critical,
    tls: readTlsTrust(check, from.tls),
  };
  check.distinct(
    'keys.keyid',
    root.keys.map(({ keyid }) => keyid),
  );
  check.distinct(
    'roles.name',
    root.roles.map(({ name }) => name),
  );
  check.distinct(
    'channels.name',
    root.channels.map(({ name }) => name),
  );
  const problem = check.problem();
  return problem === null ? ok(root) : refuse('format.root', problem);
}

/** The same root always gives the same bytes. */
export function writeRoot(root: Root): Uint8Array {
  const message = create(RootSchema, {
    specVersion: SPEC_VERSION,
    fleet: fleetToBytes(root.fleet),
    version: root.version,
    issuedAt: BigInt(root.issuedAt),
    notAfter: BigInt(root.notAfter),
    keys: root.keys.map((key) => ({
      keyid: key.keyid,
      scheme: schemeToProto(key.scheme),
      publicKey: key.publicKey,
      notAfter: BigInt(key.notAfter),
      comment: key.comment,
    })),
    roles: root.roles.map(({ name, threshold, keyids }) => ({
      name,
      threshold,
      keyids: [...keyids],
    })),
    channels: root.channels.map(({ name, role, epoch }) => ({ name, role, epoch })),
    demo: root.demo,
    critical: [...root.critical],
    ...(root.timeReset ? { timeReset: { notBefore: BigInt(root.timeReset.notBefore) } } : {}),
    ...(root.tls ? { tls: writeTlsTrust(root.tls) } : {}),
  });
  return toBinary(RootSchema, message);
}

function readKey(check: FieldCheck, key: ProtoKey, index: number): RootKey {
  const at = `keys[${index}]`;
  check.require(
    key.publicKey.length > 0 && key.publicKey.length <= PUBLIC_KEY_MAX,
    `${at}.public_key`,
    `${key.publicKey.length} bytes; at least 1, at most ${PUBLIC_KEY_MAX}`,
  );
  return {
    keyid: check.text(`${at}.keyid`, key.keyid, NAME_MAX),
    scheme: schemeFromProto(key.scheme),
    publicKey: key.publicKey,
    notAfter: check.time(`${at}.not_after`, key.notAfter),
    comment: key.comment,
  };
}

/** A threshold of 0 is kept: it refuses (check 10, row S02). */
function readRole(check: FieldCheck, role: ProtoRole, index: number): Role {
  return {
    name: check.text(`roles[${index}].name`, role.name, NAME_MAX),
    threshold: role.threshold,
    keyids: role.keyids,
  };
}

function readChannel(check: FieldCheck, channel: ProtoChannel, index: number): RootChannel {
  const at = `channels[${index}]`;
  check.require(
    isId(channel.name) || channel.name === 'device.*',
    `${at}.name`,
    'neither a channel id nor device.*',
  );
  check.require(channel.epoch >= 1n, `${at}.epoch`, 'it starts at 1');
  return {
    name: channel.name,
    role: check.text(`${at}.role`, channel.role, NAME_MAX),
    epoch: channel.epoch,
  };
}

function schemeFromProto(scheme: ProtoScheme): Scheme {
  if (scheme === ProtoScheme.ED25519) return 'ed25519';
  if (scheme === ProtoScheme.ED25519_BLAKE2B512) return 'ed25519-blake2b512';
  if (scheme === ProtoScheme.ECDSA_P256_SHA256) return 'ecdsa-p256-sha256';
  return 'unknown';
}

function schemeToProto(scheme: Scheme): ProtoScheme {
  switch (scheme) {
    case 'ed25519':
      return ProtoScheme.ED25519;
    case 'ed25519-blake2b512':
      return ProtoScheme.ED25519_BLAKE2B512;
    case 'ecdsa-p256-sha256':
      return ProtoScheme.ECDSA_P256_SHA256;
    case 'unknown':
      return ProtoScheme.UNSPECIFIED;
  }
}
