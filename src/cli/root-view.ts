/** How roots, their changes and the signatures of the next one are shown. */
import type { Platform } from '#platform/platform.ts';
import type { Fleet } from '#publisher/fleet.ts';
import { anchorsByName, fingerprintOf } from '#publisher/root-anchors.ts';
import { anchorRemarks } from '#publisher/root-anchors-lint.ts';
import { type Change, changesBetween, changeText } from '#publisher/root-diff.ts';
import type { Draft } from '#publisher/root-draft.ts';
import { remarks, rootOf, whyUnfit } from '#publisher/root-lint.ts';
import { keyNames, keysByName } from '#publisher/root-names.ts';
import { type Progress, progressOf, type RootRequest } from '#publisher/root-request.ts';
import { instantOrNever } from '#publisher/root-time.ts';
import type { Root } from '#state/root.ts';
import type { CliContext } from './context.ts';
import { columns, painter, pairs } from './render.ts';

export interface RootView {
  readonly fleet: string;
  readonly version: number;
  readonly notAfter: string;
  readonly inForce: boolean;
  readonly demo: boolean;
  readonly timeReset: string | null;
  readonly keys: readonly {
    readonly name: string;
    readonly keyid: string;
    readonly scheme: string;
    readonly notAfter: string;
    readonly roles: readonly string[];
  }[];
  readonly roles: readonly {
    readonly name: string;
    readonly threshold: number;
    readonly keys: readonly string[];
  }[];
  readonly channels: readonly {
    readonly name: string;
    readonly role: string;
    readonly epoch: number;
  }[];
  /** null: it says nothing of TLS */
  readonly tls: {
    readonly configured: 'keep' | 'replace';
    readonly anchors: readonly {
      readonly name: string;
      readonly fingerprint: string;
      readonly notAfter: string;
    }[];
  } | null;
}

export function rootView(root: Root, nowMs: number): RootView {
  const nameOf = keyNames(root);
  return {
    fleet: root.fleet,
    version: Number(root.version),
    notAfter: instantOrNever(root.notAfter),
    inForce: root.notAfter === 0 || root.notAfter >= nowMs,
    demo: root.demo,
    timeReset: root.timeReset ? instantOrNever(root.timeReset.notBefore) : null,
    keys: [...keysByName(root)].map(([name, { keyid, scheme, notAfter }]) => ({
      name,
      keyid,
      scheme,
      notAfter: instantOrNever(notAfter),
      roles: root.roles.filter(({ keyids }) => keyids.includes(keyid)).map((role) => role.name),
    })),
    roles: root.roles.map(({ name, threshold, keyids }) => ({
      name,
      threshold,
      keys: keyids.map(nameOf),
    })),
    channels: root.channels.map(({ name, role, epoch }) => ({ name, role, epoch: Number(epoch) })),
    tls: root.tls && {
      configured: root.tls.replacesConfigured ? 'replace' : 'keep',
      anchors: [...anchorsByName(root.tls)].map(([name, anchor]) => ({
        name,
        fingerprint: fingerprintOf(anchor),
        notAfter: instantOrNever(anchor.notAfter),
      })),
    },
  };
}

export function rootText(context: CliContext, view: RootView): string {
  const paint = painter(context.terminal);
  const end = view.inForce ? view.notAfter : `${paint.bad(view.notAfter)} (it has ended)`;
  const reset = view.timeReset === null ? [] : [['time reset', view.timeReset] as const];
  return [
    pairs([
      ['root', `version ${view.version}${view.demo ? ', demo' : ''}`],
      ['fleet', view.fleet],
      ['ends', end],
      ...reset,
    ]),
    columns(
      ['KEY', 'SCHEME', 'KEYID', 'ENDS', 'ROLES'],
      view.keys.map(({ name, scheme, keyid, notAfter, roles }) => [
        name,
        scheme,
        keyid.slice(0, 16),
        notAfter,
        roles.join(', ') || '–',
      ]),
    ),
    columns(
      ['ROLE', 'SIGNATURES', 'KEYS'],
      view.roles.map(({ name, threshold, keys }) => [
        name,
        `${threshold} of ${keys.length}`,
        keys.join(', '),
      ]),
    ),
    columns(
      ['CHANNEL', 'ROLE', 'EPOCH'],
      view.channels.map(({ name, role, epoch }) => [name, role, `${epoch}`]),
    ),
    ...(view.tls === null
      ? []
      : [
          columns(
            ['CA OF TLS', 'SHA-256', 'ENDS'],
            view.tls.anchors.map(({ name, fingerprint, notAfter }) => [
              name,
              fingerprint.slice(0, 16),
              notAfter === 'never' ? 'with its certificate' : notAfter,
            ]),
          ),
        ]),
  ].join('\n');
}

export interface DiffView {
  readonly from: number;
  readonly to: number;
  readonly changes: readonly Change[];
  /** why it cannot be signed as it is; null: it can */
  readonly unfit: string | null;
  readonly remarks: readonly string[];
}

export function diffOf(before: Root, after: Root): DiffView {
  const [from, to] = [Number(before.version), Number(after.version)];
  return { from, to, changes: changesBetween(before, after), unfit: null, remarks: [] };
}

export function draftDiff(
  platform: Pick<Platform, 'certificates'>,
  fleet: Fleet,
  draft: Draft,
): DiffView {
  const { root, chain, time } = fleet;
  return {
    ...diffOf(root, rootOf(draft, root, root.issuedAt)),
    unfit: whyUnfit(draft, chain, time.estimateMs),
    remarks: [
      ...remarks(draft, root, time.estimateMs),
      ...anchorRemarks(platform, draft, root, time.estimateMs),
    ],
  };
}

export function diffText(context: CliContext, view: DiffView): string {
  const paint = painter(context.terminal);
  const colour = { added: paint.good, removed: paint.bad, changed: paint.warn };
  const lines = view.changes.map((change) => {
    const text = changeText(change);
    return `${colour[change.kind](text.slice(0, 1))}${text.slice(1)}\n`;
  });
  const unfit = view.unfit === null ? '' : `${paint.bad('cannot be signed')}: ${view.unfit}\n`;
  const notes = view.remarks.map((remark) => `${paint.dim('note')} ${remark}\n`).join('');
  const same = lines.length === 0 ? 'no difference\n' : '';
  return `root ${view.from} → ${view.to}\n${same}${lines.join('')}${notes}${unfit}`;
}

export interface RequestView {
  readonly file: string;
  readonly version: number;
  /** of the bytes to sign, for a word by telephone */
  readonly digest: string;
  readonly changes: readonly Change[];
  readonly signatures: readonly (Omit<Progress, 'version'> & { readonly version: number })[];
  readonly complete: boolean;
}

export function requestView(file: string, request: RootRequest): RequestView {
  const progress = progressOf(request);
  return {
    file,
    version: Number(request.root.version),
    digest: request.digest,
    changes: changesBetween(request.previous, request.root),
    signatures: progress.map((one) => ({ ...one, version: Number(one.version) })),
    complete: progress.every(({ signed, threshold }) => signed.length >= threshold),
  };
}

export function requestText(context: CliContext, view: RequestView): string {
  const paint = painter(context.terminal);
  const rows = view.signatures.map(({ version, threshold, signed, missing }) => {
    const enough = signed.length >= threshold;
    const count = `${signed.length} of ${threshold}`;
    return [
      `keys of root ${version}`,
      enough ? paint.good(count) : paint.warn(count),
      signed.join(', ') || '–',
      enough ? '' : missing.join(', '),
    ];
  });
  const from = { from: view.version - 1, to: view.version, unfit: null, remarks: [] };
  return [
    diffText(context, { ...from, changes: view.changes }),
    `payload ${view.digest}\n`,
    columns(['SIGNED BY', '', 'HAVE', 'MAY STILL'], rows),
    view.complete
      ? `${view.file} has all signatures. Next:  holdfast root publish\n`
      : `Next, for each root key:  holdfast root sign ${view.file} --key NAME.pem\n`,
  ].join('\n');
}
