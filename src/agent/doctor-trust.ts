/**
 * What `holdfast doctor` says of the root: the newest that this device holds, which is the owner's file
 * or what the chain led to from there (root-keeper.ts), and the CAs of TLS that it names.
 */
import { ok, type Result } from '#errors/fault.ts';
import { pemOf } from '#link/root-anchors.ts';
import type { Platform } from '#platform/platform.ts';
import { LIMITS } from '#state/limits.ts';
import type { Root, TlsAnchor } from '#state/root.ts';
import { keptRoot } from '#store/content.ts';
import { openRoot } from '#trust/root-chain.ts';
import { instantText, type TimeView } from '#trust/time.ts';
import type { AgentConfig } from './config.ts';
import { unknownChannels } from './doctor-channels.ts';
import { type Finding, good, note, weak, wrong } from './finding.ts';

const SOON_MS = 30 * 24 * 3_600_000;

type Parts = Pick<Platform, 'files' | 'certificates'>;

export interface DoctorRoot {
  /** what the agent would judge by; a fault where the owner's file cannot be used */
  readonly root: Result<Root>;
  readonly findings: readonly Finding[];
}

export function doctorRoot(platform: Parts, config: AgentConfig, time: TimeView): DoctorRoot {
  const bytes = platform.files.readFile(config.trust.root, LIMITS.rootBytes);
  const owned = bytes.ok ? openRoot(bytes.value) : bytes;
  if (!owned.ok) return { root: owned, findings: [wrong('trust', owned.fault)] };
  const kept = openKept(platform, config, owned.value);
  const held = kept.ok ? kept.value : null;
  const root = held && held.version > owned.value.version ? held : owned.value;
  const findings = [
    ...(kept.ok ? [] : [unread(kept.fault.message)]),
    ...judged(root, owned.value, config, time),
    ...anchors(platform, root, time),
  ];
  return { root: ok(root), findings };
}

/** Null: this device has never held another one. */
function openKept(platform: Parts, config: AgentConfig, { fleet }: Root): Result<Root | null> {
  const kept = keptRoot(platform.files, config.stateDir, fleet);
  if (!kept.ok) return kept;
  return kept.value === null ? ok(null) : openRoot(kept.value);
}

function unread(message: string): Finding {
  const about = `only the owner's file is judged, not the root held: ${message}`;
  return note('trust', about, 'Run doctor as root, or as the user of the agent.');
}

function judged(root: Root, owned: Root, config: AgentConfig, time: TimeView): readonly Finding[] {
  const { fleet, version, notAfter, demo } = root;
  const own = root === owned ? '' : `; the owner's file has version ${owned.version}`;
  const findings = [
    good('trust', `root version ${version} of fleet ${fleet}${own}`),
    ...unknownChannels(root, config),
  ];
  if (demo) {
    findings.push(
      weak(
        'trust',
        'this is a demo root: its keys were kept together',
        'Make a root with `holdfast init` before anything real.',
      ),
    );
  }
  const left = notAfter - time.estimateMs;
  if (notAfter !== 0 && left < SOON_MS) {
    const ends = left < 0 ? 'the root expired at' : 'the root ends at';
    const remedy = 'Publish a new root (`holdfast root set-expiry`); what runs goes on.';
    findings.push(weak('trust', `${ends} ${instantText(notAfter)}`, remedy));
  }
  return findings;
}

function anchors(platform: Parts, { tls }: Root, time: TimeView): readonly Finding[] {
  if (tls === null) return [];
  const place = tls.replacesConfigured ? 'in place of tls.ca' : 'beside tls.ca';
  const names = tls.anchors.map(({ comment }) => comment || 'one without a name').join(', ');
  return [
    good('tls', `the root names CAs, ${place}: ${names === '' ? 'none' : names}`),
    ...tls.anchors.flatMap((anchor) => ofAnchor(platform, anchor, time)),
  ];
}

function ofAnchor(platform: Parts, anchor: TlsAnchor, time: TimeView): readonly Finding[] {
  const name = anchor.comment || 'a CA without a name';
  const remedy = 'Bring the next CA with `holdfast root tls add` and a new root.';
  const read = platform.certificates(pemOf(anchor.certificate));
  const [certificate] = read.ok ? read.value : [];
  if (certificate === undefined) {
    return [weak('tls', `${name} of the root cannot be read, so it is passed over`, remedy)];
  }
  const end = Math.min(anchor.notAfter || certificate.notAfter, certificate.notAfter);
  const left = end - time.estimateMs;
  if (left >= SOON_MS) return [];
  const ends = left < 0 ? 'ended at' : 'ends at';
  return [weak('tls', `${name} of the root ${ends} ${instantText(end)}`, remedy)];
}
