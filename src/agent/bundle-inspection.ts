/**
 * What a bundle would change, without letting it: `consent: ask`. Its statement is judged by every
 * check, with the roots that came along walked in memory alone; nothing of it is accepted, kept or
 * remembered, and the time statements in it are not taken.
 */
import type { PlanView } from '#control/api.ts';
import type { Fault, Result } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { LayoutSource } from '#sources/oci-layout.ts';
import { pointText } from '#state/point.ts';
import type { Root } from '#state/root.ts';
import { passed } from '#trust/outcome.ts';
import { type HeldRoot, walkRoots } from '#trust/root-chain.ts';
import type { Trusted } from '#trust/verify.ts';
import { finder } from './find.ts';
import { type Candidate, isForeign } from './found.ts';
import type { Walked } from './root-keeper.ts';

/** What one channel of this device would take. */
export interface Offer {
  /** that its statement names; empty: not known */
  readonly channel: string;
  /** `1.57` */
  readonly point: string | null;
  readonly plan: PlanView | null;
}

export interface Inspection extends Offer {
  readonly state: 'offered' | 'applied' | 'current' | 'refused' | 'waiting' | 'nothing';
  readonly fault: Fault | null;
  /** for other channels of this device */
  readonly more: readonly Offer[];
}

export interface InspectionInput {
  readonly clock: Clock;
  bundle(path: string): LayoutSource;
  root(): Root;
  /** of one channel; its root is replaced by one that came along */
  trusted(): Trusted;
  readonly channel: string;
  plan(candidate: Candidate, signal: AbortSignal): Promise<Result<PlanView>>;
}

const NONE = { channel: '', point: null, plan: null, fault: null, more: [] };

export async function inspectBundle(
  input: InspectionInput,
  path: string,
  signal: AbortSignal,
): Promise<Inspection> {
  let root = input.root();
  const dry = finder({
    clock: input.clock,
    sources: [],
    pushes: null,
    bundle: input.bundle,
    roots: {
      walk(offered): Walked {
        const walked = walkedFrom({ root, digest: null }, offered);
        root = walked.held.root;
        return walked;
      },
    },
    trusted: () => ({ ...input.trusted(), root }),
    rootReplaced: () => undefined,
    alsoFound: () => undefined,
  });
  const found = await dry.find({ kind: 'bundle', path }, signal);
  switch (found.kind) {
    case 'candidate': {
      const { candidate } = found;
      const { state } = candidate;
      const told = { ...NONE, channel: state.channel, point: pointText(state.point) };
      const plan = await input.plan(candidate, signal);
      return plan.ok
        ? { ...told, state: 'offered', plan: plan.value }
        : { ...told, state: stateOf(plan.fault), fault: plan.fault };
    }
    case 'current':
      return { ...NONE, state: 'current', channel: input.channel };
    case 'nothing':
      return { ...NONE, state: 'nothing' };
    case 'unreachable':
      return { ...NONE, state: 'waiting', fault: found.fault };
    case 'refused':
    case 'waiting': {
      const channel = isForeign(found) ? '' : input.channel;
      const point = found.offered && pointText(found.offered);
      return { ...NONE, state: found.kind, channel, point, fault: found.fault };
    }
  }
}

function stateOf({ retry }: Fault): 'refused' | 'waiting' {
  return retry === 'later' ? 'waiting' : 'refused';
}

// Check 7
function walkedFrom(
  from: HeldRoot,
  offered: Parameters<typeof walkRoots>[1],
): Walked & { readonly held: HeldRoot } {
  const rows: Walked['rows'][number][] = [passed(undefined, `root ${from.root.version} held`)];
  let held = from;
  let refused: Walked['refused'] = null;
  for (const step of walkRoots(from, offered)) {
    if (step.kind === 'refused') {
      rows.push(step.stop);
      if (!refused?.attack) refused = step.stop;
      continue;
    }
    held = step.held;
    rows.push(passed(undefined, step.compared));
  }
  const replaced = held.root.version > from.root.version;
  return { held, replaced, rows, refused, unkept: null, more: false };
}
