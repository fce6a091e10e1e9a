/**
 * A device for tests of transactions: a store in memory, a content store on disk, and a runtime
 * that is a map from deployment to what is in force. Any call of the world can be made to fail
 * (the world refused) or to cut (everything after it never happened; the next context starts with
 * nothing but what was durable).
 */

import { emptyRow } from '#apply/journal.ts';
import { stateRowOf } from '#apply/load.ts';
import { generationsOf, provenOf } from '#apply/recover.ts';
import type { Runtime } from '#apply/runtimes/runtime.ts';
import type { ApplyContext, Change } from '#apply/transaction.ts';
import { type Code, fault, ok, type Result, refused } from '#errors/fault.ts';
import { partsBetween } from '#plan/parts.ts';
import { planChange } from '#plan/plan.ts';
import type { ChannelRow } from '#state/channel-row.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import { MEDIA } from '#state/media-types.ts';
import type { Phase } from '#state/status.ts';
import { contentStore } from '#store/content.ts';
import { typedStore } from '#store/typed-store.ts';
import { blobNames, readDeployment } from '#wire/deployment.ts';
import { writeDocuments } from '#wire/documents.ts';
import { manualClock } from './manual-clock.ts';
import { memoryEngine } from './memory-engine.ts';
import { FLEET, scratch, storePlatform, value } from './store.ts';

export class Cut extends Error {}

/** id → version: what a state holds */
export type Wanted = Readonly<Record<string, string>>;

export interface Trouble {
  /** the n-th call from now, counted from 1 */
  readonly call: number;
  readonly kind: 'fail' | 'cut-before' | 'cut-after';
  readonly code?: Code;
}

export function applyWorld() {
  const directory = scratch('apply');
  const engine = memoryEngine();
  const store = typedStore(
    engine,
    { free: () => false, ensure: () => undefined, hasRoom: () => true },
    () => undefined,
  );
  const content = value(contentStore(storePlatform.files, directory.path));
  const clock = manualClock();
  const inForce = new Map<string, Digest>();
  const prepared = new Set<Digest>();
  const calls: string[] = [];
  const phases: Phase[] = [];
  let trouble: Trouble[] = [];
  let unhealthy: Code | null = null;
  let counted = 0;

  async function step(name: string, effect: () => void): Promise<Result<void>> {
    counted += 1;
    const now = trouble.find(({ call }) => call === counted);
    if (now?.kind === 'cut-before') throw new Cut(name);
    if (now?.kind === 'fail') {
      calls.push(`${name}!`);
      return refused({
        ...fault('apply.superseded', { point: name }),
        code: now.code ?? 'apply.reload-failed',
        retry: 'never',
      });
    }
    calls.push(name);
    effect();
    if (now?.kind === 'cut-after') throw new Cut(name);
    return ok(undefined);
  }
  const runtime: Runtime = {
    type: 'files',
    prepare: (next) => step(`prepare ${next.id}`, () => void prepared.add(next.digest)),
    activate: (next) => step(`activate ${next.id}`, () => void inForce.set(next.id, next.digest)),
    deactivate: (previous) =>
      step(`deactivate ${previous.id}`, () => void inForce.delete(previous.id)),
    inspect: async () => ok([]),
    keepFound: async () => ok([]),
    condition: () => ({ running: 'not-applicable', upMs: 0, restarts: 0, message: '' }),
    sweep: async () => ok(undefined),
  };

  function context(): ApplyContext {
    return {
      store,
      content,
      followed: { fleet: FLEET, channels: new Set(['stable']) },
      clock,
      log: { write: () => undefined },
      runtimes: new Map([['files', runtime]]),
      keep: 3,
      prove: async () => {
        const done = await step('prove', () => undefined);
        if (!done.ok) return done;
        if (!unhealthy) return ok(undefined);
        return refused({
          ...fault('apply.superseded', { point: '' }),
          code: unhealthy,
          retry: 'never',
        });
      },
      beside: () => undefined,
      barred: () => null,
      onPhase: (phase) => void phases.push(phase),
    };
  }
  function row(): ChannelRow {
    return value(store.channel(FLEET, 'stable')) ?? emptyRow(FLEET, 'stable');
  }

  /** The change from what is applied to `wanted`, as `agent/change.ts` would make it. */
  function change(
    sequence: number,
    wanted: Wanted,
    options: {
      readonly windowMs?: number;
      /** deployment by deployment */
      readonly inParts?: boolean;
      readonly needs?: Readonly<Record<string, readonly string[]>>;
      readonly targets?: Readonly<Record<string, string>>;
    } = {},
  ): Change {
    const documents = Object.entries(wanted).map(([id, version]) => {
      const { needs = {}, targets = {} } = options;
      const bytes = Buffer.from(document(id, version, needs[id] ?? [], targets[id] ?? id));
      const where = { id, file: `${id}.yaml` };
      const deployment = value(readDeployment(bytes, MEDIA.deployment, where));
      const names = blobNames(deployment);
      return {
        bytes,
        deployment,
        blobNames: names,
        digest: sha256(bytes),
        mediaType: MEDIA.deployment,
      };
    });
    const layer = writeDocuments(documents.map(({ bytes }) => bytes));
    const blobs = Object.entries(wanted).map(([id, version]) => {
      const bytes = Buffer.from(`${id} ${version}`);
      const size = bytes.length;
      return { name: id, mediaType: MEDIA.file, digest: sha256(bytes), size, unpackedSize: size };
    });
    const stateDigest = sha256(Buffer.from(`state ${sequence}`));
    const { intent } = row();
    const reading = { store, content };
    const own = value(provenOf(reading, row()));
    const stuck = intent?.phase === 'stuck';
    // As agent/change.ts does: what a stuck undo may have left is here too.
    const left = stuck ? value(generationsOf(reading, row(), intent.to.stateDigest)) : [];
    const current = [...own, ...left.filter(({ id }) => !own.some((each) => each.id === id))];
    const plan = value(
      planChange({
        state: { blobs } as never,
        documents,
        current,
        device: { id: 'press-7', labels: {} },
        allow: { roots: ['/opt'], runtimes: ['files'], users: null, defaultUser: null },
        everythingChanged: stuck,
      }),
    );
    const envelope = {
      payloadType: 'test',
      payload: Buffer.from(`state ${sequence}`),
      signatures: [],
    };
    return {
      kind: 'apply',
      to: { epoch: 1n, sequence: BigInt(sequence), stateDigest, at: 0 },
      via: 'registry',
      freshness: 'unknown',
      attemptsMax: 3,
      fleet: FLEET,
      channel: 'stable',
      steps: plan.steps,
      stateRow: stateRowOf(stateDigest, plan.desired, () => MEDIA.deployment),
      statement: { envelope, documents: layer, via: 'registry' },
      healthWindowMs: options.windowMs ?? 0,
      issuedAt: 0,
      startedAt: 0,
      ...(options.inParts && {
        inParts: { desired: plan.desired, parts: partsBetween(current, plan.desired) },
      }),
    };
  }

  return {
    store,
    engine,
    calls,
    phases,
    context,
    row,
    change,
    /** deployment → digest, sorted */
    inForce: () => Object.fromEntries([...inForce].sort()),
    trouble(next: Trouble[]) {
      trouble = next;
      counted = 0;
    },
    sicken(code: Code | null) {
      unhealthy = code;
    },
    /** calls of the world since `trouble` */
    counted: () => counted,
    remove: directory.remove,
  };
}

export type ApplyWorld = ReturnType<typeof applyWorld>;

function document(id: string, version: string, needs: readonly string[], target: string): string {
  return `apiVersion: holdfast/v1
kind: Deployment
id: ${id}
metadata: { name: "${id} ${version}" }
spec:
  dependsOn: [${needs.join(', ')}]
  deploymentProfile:
    type: files
    components:
      - name: file
        properties: { blob: ${id}, target: /opt/${target} }
`;
}
