/**
 * `holdfast enroll` on the device: recognise the hub, ask, wait for the operator where there is no
 * token, prove the credential, take the first root document. Run again after a cut, it goes on where
 * it was; run again when it is done, it changes nothing.
 */
import { fault, ok, type Result, refuse, refused } from '#errors/fault.ts';
import { backoff } from '#link/backoff.ts';
import { readUrl } from '#link/endpoint.ts';
import { type HubLink, hubLink } from '#link/enrolment.ts';
import { httpLink } from '#link/http.ts';
import { showAuthority } from '#link/hub-authority.ts';
import type { Directory } from '#platform/files.ts';
import type { Platform } from '#platform/platform.ts';
import { readIfThere, replaceFile } from '#platform/replace-file.ts';
import type { Signer } from '#platform/signer.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import { type CredentialKind, type EnrolmentToken, fingerprintGroups } from '#state/enrolment.ts';
import { viewTime } from '#trust/time.ts';
import {
  askForCredential,
  type CredentialInput,
  dropNext,
  hasNext,
  proveAndAdopt,
} from './credential-request.ts';
import {
  type Enrolled,
  type EnrolledPaths,
  enrolledPaths,
  FILES,
  type HeldCredential,
  inEnrolled,
  readCredential,
  readEnrolled,
  shownBy,
  writeEnrolled,
} from './enrolled.ts';
import { openIdentity } from './identity.ts';

export type EnrolPlatform = Pick<
  Platform,
  | 'certificates'
  | 'clock'
  | 'files'
  | 'http'
  | 'keyFiles'
  | 'random'
  | 'sockets'
  | 'tunnels'
  | 'x509'
>;

export interface EnrolInput {
  readonly platform: EnrolPlatform;
  readonly stateDir: string;
  readonly runDir: string;
  /** null: derived from the device key */
  readonly deviceId: string | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly kind: CredentialKind;
  /** null: the token's, or that of the enrolment under way */
  readonly hub: string | null;
  readonly token: { readonly text: string; readonly read: EnrolmentToken } | null;
  /** who the hub is: the digest of its CA certificate, or that certificate; null: the token says */
  readonly authority: Digest | null;
  readonly ca: string | null;
  readonly rootDigest: Digest | null;
  readonly proxy: string | null;
  readonly agentVersion: string;
  /** Unix ms */
  readonly buildTime: number;
  /** ms to wait for an operator; 0: not at all */
  readonly waitMs: number;
  readonly signal: AbortSignal;
  readonly person: Person;
}

/** Who stands in front of the device; without a terminal every answer is no. */
export interface Person {
  confirmHub(hub: string, digest: Digest): Promise<boolean>;
  waits(deviceId: string, deviceKey: Uint8Array): void;
  /** The hub cannot be reached just now. */
  troubled(message: string): void;
}

export interface EnrolOutcome {
  readonly enrolled: Enrolled;
  readonly credential: HeldCredential;
  readonly deviceKey: Uint8Array;
  /** it was there before */
  readonly already: boolean;
}

const POLL_BASE_MS = 2_000;
const POLL_CAP_MS = 30_000;

export async function enrol(input: EnrolInput): Promise<Result<EnrolOutcome>> {
  const { files, keyFiles, random } = input.platform;
  const { stateDir, deviceId } = input;
  const identity = openIdentity({
    ...{ files, keyFiles, random, stateDir, configuredId: deviceId, boundTo: null },
  });
  if (!identity.ok) return identity;
  const self = { deviceId: identity.value.deviceId, signer: identity.value.signer };
  return inEnrolled(input.platform, stateDir, (directory) => enrolIn(input, directory, self));
}

interface Self {
  readonly deviceId: string;
  readonly signer: Signer;
}

async function enrolIn(
  input: EnrolInput,
  directory: Directory,
  self: Self,
): Promise<Result<EnrolOutcome>> {
  const { platform } = input;
  const deviceKey = self.signer.publicKey;
  const before = readEnrolled(directory);
  if (!before.ok) return before;
  const held = readCredential(platform, directory);
  if (!held.ok) return held;
  if (held.value && before.value && isDone(input, before.value, self)) {
    return ok({ enrolled: before.value, credential: held.value, deviceKey, already: true });
  }
  const begun = await begin(input, directory, self, before.value);
  if (!begun.ok) return begun;
  const http = httpLink(platform, {
    deadClock: {
      directory: `${input.runDir}/enroll`,
      time: () => viewTime({ floorMs: input.buildTime, wallMs: platform.clock.wallMs() }),
    },
  });
  try {
    const paths = enrolledPaths(input.stateDir);
    const { hub: url, proxy } = begun.value;
    const hub = hubLink(http, { url, proxy, ca: paths.ca });
    const parts = partsOf(input, { directory, paths, hub, signer: self.signer });
    const resumed = before.value?.token === begun.value.token && held.value !== null;
    return await finish(input, { ...parts, enrolled: begun.value }, resumed);
  } finally {
    http.close();
  }
}

/** Nothing new is asked for: no token that was not used, the same hub and name. */
function isDone({ token, hub }: EnrolInput, enrolled: Enrolled, self: Self): boolean {
  const other = hub !== null && originOf(hub) !== enrolled.hub;
  const spent = token === null || digestOf(token.text) === enrolled.spent;
  return spent && !other && enrolled.deviceId === self.deviceId;
}

function digestOf(token: string): Digest {
  return sha256(Buffer.from(token));
}

function originOf(hub: string): string {
  return URL.canParse(hub) ? new URL(hub).origin : hub;
}

function partsOf(
  { platform, agentVersion }: EnrolInput,
  more: {
    readonly directory: Directory;
    readonly paths: EnrolledPaths;
    readonly hub: HubLink;
    readonly signer: Signer;
  },
): Omit<CredentialInput, 'enrolled'> {
  return { platform, agentVersion, ...more };
}

/** Which hub, and that it is the hub: both durable before anything is sent to it. */
async function begin(
  input: EnrolInput,
  directory: Directory,
  self: Self,
  before: Enrolled | null,
): Promise<Result<Enrolled>> {
  const url = input.hub ?? input.token?.read.url ?? before?.hub ?? '';
  if (url === '') {
    const reason = 'neither a hub nor a token was given';
    return refuse('link.scheme-refused', { url: '--hub', reason });
  }
  const checked = readUrl(url, false);
  if (!checked.ok) return checked;
  const hub = checked.value.origin;
  const same = before !== null && before.hub === hub;
  const authority = await recognise(input, directory, hub, same ? before.authority : null);
  if (!authority.ok) return authority;
  if (!same || before.authority !== authority.value || before.deviceId !== self.deviceId) {
    const dropped = dropNext(directory);
    if (!dropped.ok) return dropped;
  }
  const enrolled: Enrolled = {
    hub,
    authority: authority.value,
    deviceId: self.deviceId,
    labels: input.labels,
    kind: input.kind,
    proxy: input.proxy,
    token: input.token?.text ?? (same ? before.token : ''),
    spent: same ? before.spent : null,
    root: input.rootDigest ?? input.token?.read.root ?? (same ? before.root : null),
    ...(same ? placesOf(before) : { registry: '', mqtt: '', channel: '' }),
  };
  const written = writeEnrolled(directory, enrolled);
  return written.ok ? ok(enrolled) : written;
}

function placesOf({ registry, mqtt, channel }: Enrolled) {
  return { registry, mqtt, channel };
}

async function recognise(
  input: EnrolInput,
  directory: Directory,
  hub: string,
  known: Digest | null,
): Promise<Result<Digest>> {
  const { platform, proxy, token } = input;
  if (input.ca !== null) return keepCa(platform, directory, input.ca);
  const pinned = token?.read.hub ?? input.authority ?? known;
  const kept = readIfThere(directory, FILES.ca, 64 * 1024);
  if (!kept.ok) return kept;
  const held = kept.value === null ? '' : Buffer.from(kept.value).toString('latin1');
  if (pinned !== null && digestsOf(platform, held).includes(pinned)) return ok(pinned);
  const shown = await showAuthority(platform, { url: hub, proxy }, pinned);
  if (!shown.ok) return shown;
  const { digest, pem } = shown.value;
  if (pinned === null && !(await input.person.confirmHub(hub, digest))) {
    return refuse('enroll.hub-unknown', { hub, found: digest });
  }
  return keepCa(platform, directory, pem);
}

function keepCa(platform: EnrolPlatform, directory: Directory, pem: string): Result<Digest> {
  const read = platform.certificates(pem);
  if (!read.ok) return read;
  const [first] = read.value;
  if (!first) return refuse('config.certificate', { reason: 'it holds none' });
  const written = replaceFile(directory, FILES.ca, Buffer.from(pem));
  return written.ok ? ok(sha256(first.raw)) : written;
}

function digestsOf({ certificates }: EnrolPlatform, pem: string): readonly Digest[] {
  const read = certificates(pem);
  return read.ok ? read.value.map(({ raw }) => sha256(raw)) : [];
}

async function finish(
  input: EnrolInput,
  parts: CredentialInput,
  resumed: boolean,
): Promise<Result<EnrolOutcome>> {
  const { directory, signer } = parts;
  let enrolled = parts.enrolled;
  if (!hasNext(directory)) {
    const issued = await untilIssued(input, parts);
    if (!issued.ok) {
      const spent = resumed && issued.fault.code === 'enroll.refused';
      return spent ? endOfCut(parts, issued) : issued;
    }
    enrolled = issued.value;
  }
  const credential = await proveAndAdopt({ ...parts, enrolled });
  if (!credential.ok) {
    if (credential.fault.code === 'enroll.unproven') dropNext(directory);
    return credential;
  }
  return settle(directory, enrolled, {
    ...{ credential: credential.value, deviceKey: signer.publicKey, already: false },
  });
}

/** The token is spent: it need not lie about. */
function settle(
  directory: Directory,
  enrolled: Enrolled,
  outcome: Omit<EnrolOutcome, 'enrolled'>,
): Result<EnrolOutcome> {
  const spent = enrolled.token === '' ? enrolled.spent : digestOf(enrolled.token);
  const done: Enrolled = { ...enrolled, token: '', spent };
  const written = writeEnrolled(directory, done);
  return written.ok ? ok({ ...outcome, enrolled: done }) : written;
}

/** The hub says that this token was used: by the run that was cut after it had its credential. */
async function endOfCut(
  { platform, directory, paths, hub, enrolled, signer }: CredentialInput,
  otherwise: Result<never>,
): Promise<Result<EnrolOutcome>> {
  const shown = shownBy(directory, paths, 'current');
  const proof = shown.ok && shown.value ? await hub.prove(shown.value) : null;
  const held = readCredential(platform, directory);
  if (!proof?.ok || proof.value.device !== enrolled.deviceId || !held.ok || !held.value) {
    return otherwise;
  }
  const deviceKey = signer.publicKey;
  return settle(directory, enrolled, { credential: held.value, deviceKey, already: true });
}

/** Asks until the operator has decided; what the hub said is durable then. */
async function untilIssued(input: EnrolInput, parts: CredentialInput): Promise<Result<Enrolled>> {
  const { clock, random } = input.platform;
  const { directory, enrolled, signer } = parts;
  const waits = backoff({ baseMs: POLL_BASE_MS, capMs: POLL_CAP_MS, random });
  const endsAt = clock.monotonicMs() + input.waitMs;
  const fingerprint = fingerprintGroups(signer.publicKey);
  const pending = fault('enroll.pending', { device: enrolled.deviceId, fingerprint });
  let told = false;
  for (;;) {
    let known = enrolled;
    const asked = await askForCredential(parts, 'enrol', ({ root, registry, mqtt, channel }) => {
      known = { ...enrolled, registry, mqtt, channel };
      const offered = replaceFile(directory, FILES.root, root);
      return offered.ok ? writeEnrolled(directory, known) : offered;
    });
    if (asked.ok && asked.value) return ok(known);
    // Before it waits, whatever goes wrong is told at once; afterwards a lost link is just waited out.
    if (!asked.ok && (!told || asked.fault.retry !== 'later')) return asked;
    if (!asked.ok) input.person.troubled(asked.fault.message);
    if (!told) input.person.waits(enrolled.deviceId, signer.publicKey);
    told = true;
    const left = endsAt - clock.monotonicMs();
    if (left <= 0 || input.signal.aborted) return refused(pending);
    await clock.sleep(Math.min(left, waits.next()), input.signal);
    if (input.signal.aborted) return refused(pending);
  }
}
