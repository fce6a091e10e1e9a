/**
 * The draft of the next root: YAML that people read, edit and keep in git, with keys by name and
 * times as dates. It is signed by nobody: `root request` makes the bytes to sign out of it.
 */
import * as v from 'valibot';
import { ok, type Result, refuse } from '#errors/fault.ts';
import { isId } from '#state/names.ts';
import type { Root, RootKey, TlsTrust } from '#state/root.ts';
import { keyidOf } from '#trust/ed25519.ts';
import { decodeBase64, encodeBase64, encodeText } from '#wire/text.ts';
import { closed, readYaml, writeYaml } from '#wire/yaml.ts';
import { anchorsByName } from './root-anchors.ts';
import { keyNames, keysByName } from './root-names.ts';
import { EXPECTED_TIME, instantOrNever, parseInstant } from './root-time.ts';

/** What a draft says; the rest of a root follows from the one before it. */
export type Draft = Pick<
  Root,
  'version' | 'notAfter' | 'keys' | 'roles' | 'channels' | 'timeReset' | 'demo' | 'tls'
>;

const SCHEMES = ['ed25519', 'ed25519-blake2b512', 'ecdsa-p256-sha256'] as const;
const NAME_MAX = 255;
const THRESHOLD_MAX = 16;

const name = v.pipe(
  v.string(),
  v.check((text) => text.length > 0 && text.length <= NAME_MAX, 'a name'),
);
const instant = v.pipe(
  v.string(EXPECTED_TIME),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const ms = /d$/.test(dataset.value) ? null : parseInstant(dataset.value, 0);
    if (ms !== null) return ms;
    addIssue({ message: EXPECTED_TIME.replace(' or days ("365d")', '') });
    return NEVER;
  }),
);
const base64 = (expected: string) =>
  v.pipe(
    v.string(expected),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      const bytes = decodeBase64(dataset.value);
      if (bytes !== null && bytes.length > 0) return bytes;
      addIssue({ message: expected });
      return NEVER;
    }),
  );
const whole = (least: number, most: number, expected: string) =>
  v.pipe(
    v.number(expected),
    v.check((n) => Number.isSafeInteger(n) && n >= least && n <= most, expected),
  );
const schema = closed({
  apiVersion: v.literal('holdfast/v1', 'apiVersion: holdfast/v1'),
  kind: v.literal('RootDraft', 'kind: RootDraft'),
  version: whole(2, Number.MAX_SAFE_INTEGER, 'the version of the root'),
  notAfter: instant,
  timeReset: v.optional(instant),
  demo: v.optional(v.boolean('true or false'), false),
  keys: v.record(
    v.pipe(v.string(), v.check(isId, 'the name of a key: a-z, 0-9, "." and "-"')),
    closed({
      scheme: v.picklist([...SCHEMES], SCHEMES.join(', ')),
      publicKey: base64('base64 of the SPKI'),
      notAfter: v.optional(instant, 'never'),
    }),
  ),
  roles: v.record(
    name,
    closed({ threshold: whole(1, THRESHOLD_MAX, `1 to ${THRESHOLD_MAX}`), keys: v.array(name) }),
  ),
  channels: v.record(
    v.pipe(
      v.string(),
      v.check((text) => isId(text) || text === 'device.*', 'a channel name, or device.*'),
    ),
    closed({ role: name, epoch: whole(1, Number.MAX_SAFE_INTEGER, 'an epoch, from 1') }),
  ),
  tls: v.optional(
    closed({
      configured: v.optional(v.picklist(['keep', 'replace'], 'keep or replace'), 'keep'),
      anchors: v.record(
        v.pipe(v.string(), v.check(isId, 'the name of a CA: a-z, 0-9, "." and "-"')),
        closed({
          certificate: base64('base64 of the certificate in DER'),
          notAfter: v.optional(instant, 'never'),
        }),
      ),
    }),
  ),
});

/** @param file  for messages */
export function readDraft(bytes: Uint8Array, file: string): Result<Draft> {
  const read = readYaml(bytes, file, schema);
  if (!read.ok) return read;
  const { version, notAfter, timeReset, demo } = read.value;
  const keys = new Map(
    Object.entries(read.value.keys).map(([comment, { scheme, publicKey, notAfter: until }]) => {
      const keyid = keyidOf(publicKey);
      return [comment, { keyid, scheme, publicKey, notAfter: until, comment } satisfies RootKey];
    }),
  );
  const roles = [];
  for (const [role, { threshold, keys: named }] of Object.entries(read.value.roles)) {
    const unknown = named.find((key) => !keys.has(key));
    if (unknown !== undefined) {
      const reason = `role ${role} names ${unknown}, which is none of its keys`;
      return refuse('publish.root-draft', { file, reason });
    }
    const keyids = [...new Set(named.flatMap((key) => keys.get(key)?.keyid ?? []))];
    roles.push({ name: role, threshold, keyids });
  }
  return ok({
    version: BigInt(version),
    notAfter,
    keys: [...keys.values()],
    roles,
    channels: Object.entries(read.value.channels).map(([channel, { role, epoch }]) => ({
      name: channel,
      role,
      epoch: BigInt(epoch),
    })),
    timeReset: timeReset === undefined ? null : { notBefore: timeReset },
    demo,
    tls: read.value.tls ? tlsOf(read.value.tls) : null,
  });
}

function tlsOf({
  configured,
  anchors,
}: NonNullable<v.InferOutput<typeof schema>['tls']>): TlsTrust {
  return {
    replacesConfigured: configured === 'replace',
    anchors: Object.entries(anchors).map(([comment, anchor]) => ({ ...anchor, comment })),
  };
}

export function writeDraft(draft: Draft): Uint8Array {
  const nameOf = keyNames(draft);
  const value = {
    apiVersion: 'holdfast/v1',
    kind: 'RootDraft',
    version: Number(draft.version),
    notAfter: instantOrNever(draft.notAfter),
    ...(draft.timeReset ? { timeReset: instantOrNever(draft.timeReset.notBefore) } : {}),
    ...(draft.demo ? { demo: true } : {}),
    keys: Object.fromEntries([...keysByName(draft)].map(([key, record]) => [key, keyText(record)])),
    roles: Object.fromEntries(
      draft.roles.map(({ name: role, threshold, keyids }) => [
        role,
        { threshold, keys: keyids.map(nameOf) },
      ]),
    ),
    channels: Object.fromEntries(
      draft.channels.map(({ name: channel, role, epoch }) => [
        channel,
        { role, epoch: Number(epoch) },
      ]),
    ),
    ...(draft.tls ? { tls: tlsText(draft.tls) } : {}),
  };
  return encodeText(`${HEAD}${writeYaml(value)}`);
}

const HEAD = `# The next root document, not signed yet: who may sign what, each channel's epoch, CAs of TLS.
# Edit it here or with \`holdfast root add-key …\`; \`holdfast root diff\` shows what changes,
# \`holdfast root request\` makes the file that the root keys sign.
`;

function tlsText(tls: TlsTrust) {
  return {
    configured: tls.replacesConfigured ? 'replace' : 'keep',
    anchors: Object.fromEntries(
      [...anchorsByName(tls)].map(([anchor, { certificate, notAfter }]) => [
        anchor,
        {
          certificate: encodeBase64(certificate),
          ...(notAfter === 0 ? {} : { notAfter: instantOrNever(notAfter) }),
        },
      ]),
    ),
  };
}

function keyText({ scheme, publicKey, notAfter }: RootKey) {
  return {
    scheme,
    publicKey: encodeBase64(publicKey),
    ...(notAfter === 0 ? {} : { notAfter: instantOrNever(notAfter) }),
  };
}
