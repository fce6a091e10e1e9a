/**
 * Renews the credential of an enrolled device at two thirds of its life, spread over a tenth of it,
 * so that devices enrolled together do not come together. What fails is tried again, slower and
 * slower; the credential in use stays until another one has opened the hub (credential-request.ts).
 * A device without a clock asks its hub once a day whether it is time.
 */
import type { Fault } from '#errors/fault.ts';
import { ok, type Result, refuse } from '#errors/fault.ts';
import { type Backoff, backoff } from '#link/backoff.ts';
import { hubLink } from '#link/enrolment.ts';
import { httpLink } from '#link/http.ts';
import type { Directory } from '#platform/files.ts';
import type { Platform } from '#platform/platform.ts';
import { readIfThere, replaceFile } from '#platform/replace-file.ts';
import { type EventCode, eventOf } from '#report/events.ts';
import { queueEvent } from '#report/outbox.ts';
import { hexOf } from '#state/digest.ts';
import { instantText } from '#trust/time.ts';
import type { AuditFact } from './audit-log.ts';
import type { Base } from './base.ts';
import type { AgentConfig } from './config.ts';
import {
  askForCredential,
  type CredentialInput,
  dropNext,
  hasNext,
  proveAndAdopt,
} from './credential-request.ts';
import {
  type Enrolled,
  enrolledPaths,
  FILES,
  type HeldCredential,
  inEnrolled,
  readCredential,
  readEnrolled,
  shownBy,
} from './enrolled.ts';

export interface RenewalInput {
  readonly platform: Platform;
  readonly config: Pick<AgentConfig, 'stateDir' | 'runDir'>;
  readonly base: Pick<Base, 'audit' | 'credential' | 'identity' | 'root' | 'store' | 'time'>;
  readonly agentVersion: string;
  /** The status says something else now. */
  changed(): void;
}

/** ms between two looks when nothing is due: somebody may have run `enroll` */
const LOOK_MS = 6 * 3_600_000;
/** ms between two questions of a device that has no clock */
const ASK_MS = 24 * 3_600_000;
const RETRY_MIN_MS = 1_000;
const RETRY_BASE_MS = 60_000;
const RETRY_CAP_MS = 6 * 3_600_000;
const DUE = 2 / 3;
const SPREAD = 1 / 10;

interface Known {
  readonly enrolled: Enrolled;
  readonly held: HeldCredential;
}

/** @returns stops it, and waits until it has */
export function startRenewal(input: RenewalInput): () => Promise<void> {
  const stopping = new AbortController();
  const running = run(input, stopping.signal);
  return async () => {
    stopping.abort();
    await running;
  };
}

async function run(input: RenewalInput, signal: AbortSignal): Promise<void> {
  const { clock, random } = input.platform;
  const spread = random.unit();
  let life = 0;
  let waits = retries(input, life);
  let askedAt = Number.NEGATIVE_INFINITY;
  let told: Fault['code'] | null = null;
  while (!signal.aborted) {
    const known = await look(input);
    if (!known) {
      await clock.sleep(LOOK_MS, signal);
      continue;
    }
    const lifeMs = Math.max(0, known.held.notAfter - known.held.issuedAt);
    if (life !== lifeMs) waits = retries(input, lifeMs);
    life = lifeMs;
    let dueMs = dueIn(known.held, input.base.time.view().estimateMs, spread);
    const unsure = !input.base.time.view().wallPlausible;
    if (dueMs > 0 && unsure && clock.monotonicMs() - askedAt >= ASK_MS) {
      askedAt = clock.monotonicMs();
      if (await isWanted(input)) dueMs = 0;
    }
    if (dueMs > 0) {
      await clock.sleep(Math.min(dueMs, LOOK_MS), signal);
      continue;
    }
    const renewed = await renew(input);
    if (signal.aborted) return;
    if (renewed.ok) {
      waits.reset();
      told = null;
      continue;
    }
    if (told !== renewed.fault.code) failing(input, renewed.fault);
    told = renewed.fault.code;
    await clock.sleep(waits.next(renewed.fault.retryAfterMs), signal);
  }
}

/** A credential of minutes, as in a test of one's own, is tried again in seconds. */
function retries({ platform }: RenewalInput, lifeMs: number): Backoff {
  const within = (ms: number, share: number) =>
    Math.max(RETRY_MIN_MS, Math.min(ms, lifeMs / share));
  return backoff({
    baseMs: within(RETRY_BASE_MS, 200),
    capMs: within(RETRY_CAP_MS, 10),
    random: platform.random,
  });
}

/** ms; at most 0: now. Without its dates a credential is due. */
export function dueIn(
  { issuedAt, notAfter }: Pick<HeldCredential, 'issuedAt' | 'notAfter'>,
  estimateMs: number,
  spread: number,
): number {
  if (issuedAt === 0) return 0;
  return issuedAt + (notAfter - issuedAt) * (DUE + spread * SPREAD) - estimateMs;
}

/** Null: not enrolled. Tells the audit journal of a credential that it does not know. */
async function look(input: RenewalInput): Promise<Known | null> {
  const { platform, config, base } = input;
  const there = platform.files.open(enrolledPaths(config.stateDir).folder, { follow: true });
  if (!there.ok) return null;
  there.value.close();
  const known = await inEnrolled(platform, config.stateDir, (directory) => {
    const enrolled = readEnrolled(directory);
    if (!enrolled.ok || enrolled.value === null) return enrolled.ok ? ok(null) : enrolled;
    const held = readCredential(platform, directory);
    if (!held.ok || held.value === null) return held.ok ? ok(null) : held;
    const noted = note(input, directory, held.value, enrolled.value);
    return noted.ok ? ok({ enrolled: enrolled.value, held: held.value }) : noted;
  });
  if (!known.ok) platform.log.write('warn', 'credential.unreadable', { code: known.fault.code });
  const before = base.credential.current()?.fingerprint;
  base.credential.reload();
  if (before !== base.credential.current()?.fingerprint) input.changed();
  return known.ok ? known.value : null;
}

/** Once for each credential, also when a cut came between the two: then twice. */
function note(
  { base, platform }: RenewalInput,
  directory: Directory,
  held: HeldCredential,
  enrolled: Enrolled,
): Result<undefined> {
  const before = readIfThere(directory, FILES.told, 128);
  if (!before.ok) return before;
  const mark = hexOf(held.fingerprint);
  const last = before.value === null ? null : Buffer.from(before.value).toString('latin1');
  if (last === mark) return ok();
  const until = held.notAfter === 0 ? 'an unknown day' : instantText(held.notAfter);
  const fact: AuditFact = {
    kind: last === null ? 'enrolled' : 'credential-renewed',
    actor: last === null ? 'operator' : 'agent',
    message: `${held.kind} ${mark.slice(0, 16)} of ${enrolled.hub}, until ${until}`,
  };
  const done = base.store.transaction((tx) => {
    base.audit.add(tx, fact);
    const details = { until, fingerprint: mark.slice(0, 16) };
    const code: EventCode = 'credential.renewed';
    queueEvent(tx, eventOf(code, { at: platform.clock.wallMs() }, details));
  });
  if (!done.ok) return done;
  base.audit.landed();
  return replaceFile(directory, FILES.told, Buffer.from(mark));
}

function failing({ base, platform, changed }: RenewalInput, why: Fault): void {
  const { code, message } = why;
  platform.log.write('warn', 'credential.not-renewed', { code, message });
  const place = { at: platform.clock.wallMs() };
  const done = base.store.transaction((tx) =>
    queueEvent(tx, eventOf('credential.not-renewed', place, { code })),
  );
  if (!done.ok) platform.log.write('warn', 'event.unrecorded', { code: done.fault.code });
  changed();
}

/** A hub that does not answer wants nothing. */
async function isWanted(input: RenewalInput): Promise<boolean> {
  const wanted = await withHub(input, async ({ directory, paths, hub }) => {
    const shown = shownBy(directory, paths, 'current');
    if (!shown.ok || shown.value === null) return ok(false);
    const proof = await hub.prove(shown.value);
    // A credential that opens nothing any more has ended: the device key may still renew it.
    if (!proof.ok) return ok(proof.fault.code === 'link.unauthorized');
    return ok(proof.value.renew);
  });
  return wanted.ok && wanted.value;
}

async function renew(input: RenewalInput): Promise<Result<HeldCredential>> {
  return withHub(input, async (parts) => {
    if (hasNext(parts.directory)) {
      const adopted = await proveAndAdopt(parts);
      if (adopted.ok || adopted.fault.code !== 'enroll.unproven') return adopted;
      const dropped = dropNext(parts.directory);
      if (!dropped.ok) return dropped;
    }
    const asked = await askForCredential(parts, 'renew');
    if (!asked.ok) return asked;
    if (!asked.value) return refuse('enroll.answer', { reason: 'a renewal waits for nobody' });
    return proveAndAdopt(parts);
  });
}

function withHub<T>(
  input: RenewalInput,
  work: (parts: CredentialInput) => Promise<Result<T>>,
): Promise<Result<T>> {
  const { platform, config, base, agentVersion } = input;
  const paths = enrolledPaths(config.stateDir);
  return inEnrolled(platform, config.stateDir, async (directory) => {
    const read = readEnrolled(directory);
    if (!read.ok) return read;
    const enrolled = read.value;
    if (!enrolled) return refuse('enroll.damaged', { file: paths.folder, reason: 'it is empty' });
    const deadClock = { directory: `${config.runDir}/renew`, time: () => base.time.view() };
    const http = httpLink(platform, { deadClock, rootAnchors: () => base.root.tls });
    const hub = hubLink(http, { url: enrolled.hub, proxy: enrolled.proxy, ca: paths.ca });
    const { signer } = base.identity;
    try {
      return await work({ platform, directory, paths, hub, signer, enrolled, agentVersion });
    } finally {
      http.close();
    }
  });
}
