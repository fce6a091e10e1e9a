/** `holdfast root tls …`: the CAs of TLS that the root names, and what becomes of those in tls.ca. */
import type { Command } from 'commander';
import { ok, type Result } from '#errors/fault.ts';
import {
  addAnchor,
  anchorsByName,
  certificateOf,
  fingerprintOf,
  readAnchorFile,
  removeAnchor,
  setConfigured,
} from '#publisher/root-anchors.ts';
import { openDraft } from '#publisher/root-making.ts';
import { EXPECTED_TIME, instantOrNever } from '#publisher/root-time.ts';
import type { TlsTrust } from '#state/root.ts';
import type { CliContext } from './context.ts';
import { type FleetOptions, finish, fleetCommand, openFleetOf } from './fleet-command.ts';
import { resolvePath } from './paths.ts';
import { columns } from './render.ts';
import { runEdit, timeOf } from './root-edit.ts';

interface AnchorView {
  readonly name: string;
  readonly subject: string;
  /** SHA-256 of the certificate, hex */
  readonly fingerprint: string;
  /** of the anchor, or of its certificate where that is earlier */
  readonly notAfter: string;
  readonly ca: boolean;
}

interface TlsView {
  readonly of: 'root' | 'draft';
  readonly version: number;
  /** what becomes of tls.ca on devices */
  readonly configured: 'keep' | 'replace';
  readonly anchors: readonly AnchorView[];
}

export function registerRootTls(root: Command, context: CliContext): void {
  const tls = root
    .command('tls')
    .description('the CAs of TLS that every device of the fleet trusts');
  fleetCommand(tls, 'show', 'CAs of the draft, else of the newest root').action(
    (options: FleetOptions) =>
      finish(context, options.output, show(context, options), {
        text: showText,
        name: ({ anchors }) => anchors.map(({ name }) => `ca/${name}\n`).join(''),
      }),
  );
  fleetCommand(tls, 'add', 'a CA, beside those that are there')
    .argument('<name>', 'its name in the root')
    .argument('<file>', 'its certificate, PEM or DER')
    .option('--until <time>', `it counts no longer: ${EXPECTED_TIME}`)
    .action((name: string, file: string, options: FleetOptions & { readonly until?: string }) =>
      runEdit(context, options, (fleet, draft) => {
        const certificate = readAnchorFile(context.platform, resolvePath(context, file));
        if (!certificate.ok) return certificate;
        const until = timeOf(fleet, '--until', options.until);
        if (!until.ok) return until;
        const given = { name, certificate: certificate.value, notAfter: until.value ?? 0 };
        return addAnchor(draft, given);
      }),
    );
  fleetCommand(tls, 'remove', 'a CA: when no server shows a certificate of it any more')
    .argument('<name>')
    .action((name: string, options: FleetOptions) =>
      runEdit(context, options, (_, draft) => removeAnchor(draft, name)),
    );
  fleetCommand(
    tls,
    'configured',
    'what becomes of the CAs in tls.ca of devices, or of the system’s',
  )
    .argument('<keep|replace>', 'the root’s CAs count beside them, or in their place')
    .action((say: string, options: FleetOptions) =>
      runEdit(context, options, (_, draft) => setConfigured(draft, say)),
    );
}

function show(context: CliContext, options: FleetOptions): Result<TlsView> {
  const fleet = openFleetOf(context, options);
  if (!fleet.ok) return fleet;
  const draft = openDraft(context.platform.files, fleet.value);
  if (!draft.ok) return draft;
  const { version, tls } = draft.value ?? fleet.value.root;
  return ok({
    of: draft.value ? 'draft' : 'root',
    version: Number(version),
    configured: tls?.replacesConfigured ? 'replace' : 'keep',
    anchors: anchorViews(context, tls),
  });
}

function anchorViews({ platform }: CliContext, tls: TlsTrust | null): readonly AnchorView[] {
  return [...anchorsByName(tls)].map(([name, anchor]) => {
    const certificate = certificateOf(platform, anchor);
    const ends = [anchor.notAfter, certificate?.notAfter ?? 0].filter((ms) => ms > 0);
    return {
      name,
      subject: certificate?.subject.replaceAll('\n', ', ') ?? 'not a certificate',
      fingerprint: fingerprintOf(anchor),
      notAfter: instantOrNever(ends.length === 0 ? 0 : Math.min(...ends)),
      ca: certificate?.ca ?? false,
    };
  });
}

function showText({ of, version, configured, anchors }: TlsView): string {
  const counts =
    configured === 'replace'
      ? 'They count instead of what devices have in tls.ca.'
      : 'They count beside what devices have in tls.ca, or beside the system’s.';
  if (anchors.length === 0) {
    return `${of} ${version} names no CA: devices trust what they have in tls.ca, or the system’s\n`;
  }
  const rows = anchors.map(({ name, subject, fingerprint, notAfter, ca }) => [
    name,
    ca ? subject : `${subject} (no CA)`,
    fingerprint.slice(0, 16),
    notAfter,
  ]);
  const table = columns(['CA', 'SUBJECT', 'SHA-256', 'ENDS'], rows);
  return `${of} ${version}\n${table}\n${counts}\n`;
}
