/**
 * Who says what time it is: signs statements with the keys of the role `time`, for one device's nonce
 * or for everyone, and names the heads that it has verified itself. What was signed is judged as a
 * device would before it goes out. The clock it speaks by is this machine's, so one that cannot be
 * right refuses here.
 *
 * Invariant: a head stands in a statement only when the newest root's keys signed it and it was there
 * to be fetched: devices would be told of a freeze for anything else.
 */
import { ok, type Result, refuse, refused } from '#errors/fault.ts';
import type { Registry } from '#link/registry.ts';
import type { Clock } from '#platform/clock.ts';
import type { Log } from '#platform/log.ts';
import type { Signer } from '#platform/signer.ts';
import type { Envelope } from '#state/envelope.ts';
import { LIMITS } from '#state/limits.ts';
import { PAYLOAD } from '#state/media-types.ts';
import type { TimeHead, TimeRequest, TimeStatement } from '#state/time-statement.ts';
import { instantText, viewTime } from '#trust/time.ts';
import { judgeTimeStatement } from '#trust/time-statement.ts';
import { writeTimeStatement } from '#wire/time-statement.ts';
import { authorityOf, type Fleet } from './fleet.ts';
import { readHead } from './head.ts';
import { registryShelf } from './shelf.ts';
import { signEnvelope } from './sign.ts';

export interface TimeAuthority {
  /** For the device that asked. */
  answer(request: TimeRequest): Promise<Result<Envelope>>;
  broadcast(): Promise<Result<Envelope>>;
}

export interface TimeAuthorityInput {
  readonly clock: Clock;
  readonly log: Log;
  /** opened anew: roots come by while an authority runs */
  fleet(): Result<Fleet>;
  readonly signers: readonly Signer[];
  /** null: heads are left out */
  readonly registry: Registry | null;
  /** Unix ms: this program was built then */
  readonly buildTimeMs: number;
}

/** What statements say beside the time; looked up at most every MATERIAL_MS, however many ask. */
interface Material {
  readonly fleet: Fleet;
  readonly heads: readonly TimeHead[];
}

const MATERIAL_MS = 5_000;

export function timeAuthority(input: TimeAuthorityInput): TimeAuthority {
  const { clock } = input;
  let known: Promise<Result<Material>> | null = null;
  let knownAt = Number.NEGATIVE_INFINITY;
  const material = (): Promise<Result<Material>> => {
    const now = clock.monotonicMs();
    if (!known || now - knownAt > MATERIAL_MS) {
      knownAt = now;
      known = gather(input);
    }
    return known;
  };
  const fresh = (): Promise<Result<Material>> => {
    known = null;
    return material();
  };
  return {
    async answer({ nonce, deviceId }) {
      const found = await material();
      return found.ok ? sign(input, found.value, { nonce, deviceId }) : found;
    },
    async broadcast() {
      const found = await fresh();
      const everyone = { nonce: new Uint8Array(), deviceId: '' };
      return found.ok ? sign(input, found.value, everyone) : found;
    },
  };
}

async function sign(
  { clock, signers, buildTimeMs }: TimeAuthorityInput,
  { fleet, heads }: Material,
  { nonce, deviceId }: TimeRequest,
): Promise<Result<Envelope>> {
  const wallMs = clock.wallMs();
  const time = viewTime({ floorMs: Math.max(buildTimeMs, fleet.root.issuedAt), wallMs });
  if (!time.wallPlausible) {
    const [now, floor] = [instantText(wallMs), instantText(time.floorMs)];
    return refuse('publish.time-clock', { now, floor });
  }
  const statement: TimeStatement = {
    fleet: fleet.root.fleet,
    at: Math.trunc(wallMs),
    nonce,
    deviceId,
    heads,
    rootVersion: fleet.root.version,
    notAfter: 0,
    critical: [],
  };
  const signed = await signEnvelope(PAYLOAD.time, writeTimeStatement(statement), signers);
  if (!signed.ok) return signed;
  const facts = { root: fleet.root, allowDemo: true, deviceId, time, askedAgoMs: () => 0 };
  const judged = judgeTimeStatement(signed.value, facts);
  return judged.kind === 'passed' ? signed : refused(judged.fault);
}

async function gather(input: TimeAuthorityInput): Promise<Result<Material>> {
  const fleet = input.fleet();
  if (!fleet.ok) return fleet;
  const { registry, log } = input;
  const heads: TimeHead[] = [];
  const { version } = fleet.value.root;
  const channels = registry ? [...fleet.value.config.channels.keys()] : [];
  for (const channel of channels.slice(0, LIMITS.timeHeadsMax)) {
    if (!registry) break;
    const head = await readHead(
      registryShelf(registry, channel),
      authorityOf(fleet.value, channel),
    );
    if (!head.ok) {
      const { code, message } = head.fault;
      log.write('warn', 'time.head-unread', { channel, code, message });
      continue;
    }
    if (!head.value || head.value.under < version) continue;
    const { state } = head.value;
    heads.push({ channel, ...state.point });
  }
  return ok({ fleet: fleet.value, heads });
}
