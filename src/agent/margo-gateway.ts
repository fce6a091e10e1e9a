/**
 * This device as a gateway at its Margo manager: what its children can do is told after its own (M12), again
 * when it changes (M14), and taken back when the owner names them no more; what the manifest has for them is
 * handed on (margo-children.ts).
 */

import { ok, type Result } from '#errors/fault.ts';
import type { MargoLink } from '#link/margo.ts';
import { windowAt } from '#plan/window.ts';
import type { Platform } from '#platform/platform.ts';
import { downloads } from '#sources/download.ts';
import type { Source } from '#sources/source.ts';
import type { ChannelRow } from '#state/channel-row.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import type { MargoCapabilities, MargoDialect } from '#state/margo.ts';
import { blobNames } from '#wire/deployment.ts';
import { readDocuments } from '#wire/documents.ts';
import { readKnownDeployment } from '#wire/known-deployment.ts';
import { writeMargoCapabilities } from '#wire/margo-capabilities.ts';
import { writeOlderCapabilities } from '#wire/margo-capabilities-older.ts';
import type { Base } from './base.ts';
import type { ChildDeployment } from './margo-child-folder.ts';
import { type MargoChildren, margoChildren } from './margo-children.ts';
import { childCapabilities } from './margo-children-config.ts';
import type { MargoConfig } from './margo-config.ts';
import { keptMargoState, type MargoSelf } from './margo-state.ts';

export interface GatewayInput {
  readonly platform: Platform;
  readonly base: Base;
  readonly config: MargoConfig;
  readonly link: Pick<MargoLink, 'putCapabilities' | 'deleteCapabilities'>;
  row(): ChannelRow;
  sources(): readonly Source[];
  /** what the manager calls this device */
  deviceId(): Result<string>;
  self(): Result<MargoSelf>;
  /** What a child says has changed. */
  changed(): void;
}

export interface Gateway {
  readonly children: MargoChildren;
  /** what the children can do, by full id; none while this device does not know its own */
  known(): ReadonlyMap<string, MargoCapabilities>;
  /** Once the manager has this device's own capabilities. What it refuses of a child holds nothing up. */
  introduce(): Promise<void>;
}

const NONE: ReadonlyMap<string, MargoCapabilities> = new Map();

export function openGateway(input: GatewayInput): Gateway {
  const { platform, base, config } = input;
  const { clock } = platform;
  const known = () => {
    const id = input.deviceId();
    return id.ok ? childCapabilities(config.children, id.value) : NONE;
  };
  const children = margoChildren({
    ...{ platform, content: base.content, children: config.children },
    downloads: downloads({ content: base.content, clock }),
    sources: () => input.sources(),
    gateway: () => input.deviceId(),
    desired: desiredOf(input),
    mayChange: () => mayChange(input),
    changed: () => input.changed(),
  });
  const told = new Map<string, Digest>();
  return { children, known, introduce: () => introduce(input, known(), told) };
}

/** The owner's window holds for children as for this device. */
function mayChange({ base, config }: GatewayInput): boolean {
  const { windows } = config.hours;
  if (windows.length === 0) return true;
  const { grade, wallPlausible, estimateMs } = base.time.view();
  if (!wallPlausible && grade !== 'attested') return false;
  return windowAt(windows, estimateMs).kind === 'open';
}

async function introduce(
  { base, config: { dialect }, link, platform }: GatewayInput,
  known: ReadonlyMap<string, MargoCapabilities>,
  told: Map<string, Digest>,
): Promise<void> {
  const { store } = base;
  const { fleet } = base.root;
  const before = store.margoLink(fleet);
  if (!before.ok || before.value === null) return;
  const there = new Set(before.value.children);
  for (const [id, said] of known) {
    const body = bodyOf(said, dialect);
    const digest = sha256(body);
    if (told.get(id) === digest) continue;
    const put = await link.putCapabilities(id, body, there.has(id));
    if (put.ok) {
      told.set(id, digest);
      there.add(id);
    } else {
      const { code, message } = put.fault;
      platform.log.write('warn', 'margo.child-untold', { device: id, code, message });
    }
  }
  for (const id of [...there].filter((one) => !known.has(one))) {
    const gone = await link.deleteCapabilities(id);
    if (gone.ok) there.delete(id);
    told.delete(id);
  }
  const children = [...there].sort();
  if (children.join(' ') === before.value.children.join(' ')) return;
  // Told once more after the next start, if this fails: harmless.
  store.transaction((tx) => {
    const row = tx.margoLink(fleet);
    if (row.ok && row.value) tx.putMargoLink(fleet, { ...row.value, children });
  });
}

function bodyOf(said: MargoCapabilities, dialect: MargoDialect): Uint8Array {
  return dialect === 'rc3' ? writeMargoCapabilities(said) : writeOlderCapabilities(said, dialect);
}

type Desired = ReadonlyMap<string, readonly ChildDeployment[]>;

/** Of the accepted manifest, from the disk; read once for each. */
function desiredOf({ base, row, self }: GatewayInput): () => Desired | null {
  let held: { readonly digest: Digest; readonly of: Desired } | null = null;
  return () => {
    const digest = row().floor?.stateDigest;
    if (!digest) return new Map();
    if (held?.digest === digest) return held.of;
    const own = self();
    const kept = base.content.readStatement(digest);
    if (!own.ok || !kept.ok) return null;
    const made = keptMargoState(kept.value, own.value);
    const documents = kept.value.documents ? readDocuments(kept.value.documents) : ok(new Map());
    if (!made.ok || !documents.ok) return null;
    const blobs = new Map(made.value.state.blobs.map((blob) => [blob.name, blob]));
    const of = new Map<string, ChildDeployment[]>();
    for (const { id, digest: document, child, refused } of made.value.deployments) {
      const bytes = documents.value.get(document);
      if (!child || refused || !bytes) continue;
      const where = { id, file: `${id}.yaml` };
      const named = { digest: document, bytes, mediaType: 'application/yaml' };
      const read = readKnownDeployment(named, where);
      const names = read.ok ? blobNames(read.value) : [];
      const list = of.get(child) ?? [];
      const needs = names.flatMap((name) => blobs.get(name) ?? []);
      list.push({ id, digest: document, document: bytes, blobs: needs });
      of.set(child, list);
    }
    held = { digest, of };
    return of;
  };
}
