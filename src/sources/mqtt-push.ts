/**
 * What the broker brought whole: pushes, which are nudges with an envelope, the root chain and small
 * contents in them. They are held in memory until they were judged; anybody at the broker can send
 * any, so few are held, and one that was verified is not pushed out by those that were not. The head
 * is named by its envelope's own digest: the manifest that a nudge names is an unsigned claim, and
 * must not settle what the registry shows under it.
 *
 * A push is lost at a restart: a retained one comes again, else the next one does, or a bundle.
 */
import { fault, ok } from '#errors/fault.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import type { Envelope } from '#state/envelope.ts';
import { LIMITS } from '#state/limits.ts';
import { writeEnvelope } from '#wire/envelope.ts';
import type { BlobPart, Head, Source } from './source.ts';

/** What a nudge carried. Nothing of it is believed. */
export interface Push {
  readonly envelope: Envelope | null;
  /** ascending */
  readonly roots: readonly Envelope[];
  readonly contents: readonly Uint8Array[];
  /** the broker kept it: it may be old */
  readonly retained: boolean;
}

export interface Pushed {
  /** null: it carried roots alone */
  readonly head: Head | null;
  readonly roots: readonly Uint8Array[];
  readonly retained: boolean;
}

export interface PushSource extends Source {
  take(push: Push): void;
  /** Oldest first. Each stays until it is dropped, kept, or pushed out by newer ones. */
  pending(): readonly Pushed[];
  /** It is verified and waits for its contents: the one of which this is said last stays. */
  keep(pushed: Pushed): void;
  drop(pushed: Pushed): void;
}

/** with the kept one, each at most LIMITS.mqttMessageBytes */
const PENDING_MAX = 4;
/** bytes of contents held for one statement */
const INLINE_BYTES = 8 * LIMITS.mqttMessageBytes;

/** @param name  of the broker, for messages */
export function mqttPush(name: string): PushSource {
  let pending: readonly Pushed[] = [];
  let kept: Pushed | null = null;
  const withHead = () => [...pending, ...(kept ? [kept] : [])].flatMap(({ head }) => head ?? []);
  return {
    name,
    via: 'mqtt',
    take(push) {
      const pushed = pushedOf(push);
      const twin = [...pending, ...(kept ? [kept] : [])].find((other) => isSame(other, pushed));
      const merged = twin ? merge(twin, pushed) : pushed;
      if (merged === twin) return;
      if (twin && twin === kept) kept = merged;
      else {
        const others = pending.filter((other) => other !== twin);
        pending = [...others, merged].slice(-PENDING_MAX);
      }
    },
    pending: () => (kept ? [kept, ...pending] : pending),
    keep(pushed) {
      kept = pushed;
      pending = pending.filter((other) => other !== pushed);
    },
    drop(pushed) {
      if (kept === pushed) kept = null;
      pending = pending.filter((other) => other !== pushed);
    },
    // Nothing is fetched: reading the head is as cheap.
    peek: async () => ok(null),
    head: async (wanted) =>
      ok(withHead().findLast((head) => wanted === null || head.manifestDigest === wanted) ?? null),
    blob: (digest, offset, cap) => readContent(name, withHead(), { digest, offset, cap }),
  };
}

function pushedOf({ envelope, roots, contents, retained }: Push): Pushed {
  const chain = roots.map(writeEnvelope);
  if (!envelope) return { head: null, roots: chain, retained };
  const bytes = writeEnvelope(envelope);
  const inline = new Map(contents.map((content) => [sha256(content), content]));
  const head = { manifestDigest: sha256(bytes), envelope: bytes, roots: chain, inline };
  return { head, roots: chain, retained };
}

/** One statement, or roots alone. */
function isSame(a: Pushed, b: Pushed): boolean {
  return a.head?.manifestDigest === b.head?.manifestDigest;
}

/** The contents of one statement may come in several messages. The old one: there is no news. */
function merge(old: Pushed, pushed: Pushed): Pushed {
  const roots = pushed.roots.length > 0 ? pushed.roots : old.roots;
  const sameRoots = bytesOf(roots).equals(bytesOf(old.roots));
  if (!old.head || !pushed.head) return sameRoots ? old : pushed;
  const both = new Map([...old.head.inline, ...pushed.head.inline]);
  if (sameRoots && both.size === old.head.inline.size) return old;
  const bytes = [...both.values()].reduce((sum, content) => sum + content.length, 0);
  const inline = bytes <= INLINE_BYTES ? both : pushed.head.inline;
  return { ...pushed, head: { ...pushed.head, inline, roots }, roots };
}

function bytesOf(roots: readonly Uint8Array[]): Buffer {
  return Buffer.concat(roots);
}

interface Wanted {
  readonly digest: Digest;
  readonly offset: number;
  readonly cap: number;
}

async function* readContent(
  source: string,
  heads: readonly Head[],
  { digest, offset, cap }: Wanted,
): AsyncGenerator<BlobPart> {
  const what = `blob ${digest}`;
  const bytes = heads.map(({ inline }) => inline.get(digest)).find((found) => found !== undefined);
  if (!bytes) yield { kind: 'failed', fault: fault('source.missing', { what, source }) };
  else if (bytes.length > cap) {
    yield { kind: 'failed', fault: fault('source.too-large', { what, cap }) };
  } else yield { kind: 'bytes', bytes: bytes.subarray(offset) };
}
