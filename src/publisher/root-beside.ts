/**
 * The roots beside a statement, held against those of the fleet folder. A desk that lacks roots which
 * the fleet has would sign under keys that are gone; one whose roots are others than the published
 * ones would split the fleet: both stop here, before anything is built upon such a head.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import { nextRoot } from '#trust/root-chain.ts';
import { readEnvelope } from '#wire/envelope.ts';
import type { RootChain } from './root-folder.ts';

/**
 * @param beside  layers of the artifact, ascending: layer N is version N + 1
 * @returns whether a device that holds any root of the chain can walk all of it there
 */
export function judgeBeside(
  beside: readonly Uint8Array[],
  chain: RootChain,
  source: string,
): Result<boolean> {
  let whole = true;
  for (const [index, held] of chain.entries()) {
    const next = chain[index + 1];
    const offered = beside[index];
    if (offered === undefined) return ok(whole && next === undefined);
    if (next && Buffer.compare(next.bytes, offered) === 0) continue;
    const follows = nextRoot(held.root, offered);
    if (!follows.ok) {
      whole = false; // nobody's root: a device would stop there, and we push ours in its place
      continue;
    }
    const { version } = follows.value;
    const ours = (chain.at(-1) ?? chain[0]).root.version;
    if (!next) return refuse('publish.root-behind', { source, theirs: version, ours });
    // the same root with other signatures of its keys is the same root
    if (!samePayload(offered, next.envelope.payload)) {
      return refuse('publish.root-forked', { source, version });
    }
  }
  return ok(whole && beside.length === chain.length - 1);
}

function samePayload(offered: Uint8Array, payload: Uint8Array): boolean {
  const envelope = readEnvelope(offered);
  return envelope.ok && Buffer.compare(envelope.value.payload, payload) === 0;
}
