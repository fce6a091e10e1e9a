/**
 * The checklist of Margo's workload management, 1 to 77, in words of ours: who has to keep a rule (client,
 * server), and what is open in this version. A rule is kept when every test whose title names it passes;
 * `also` is part of the title of tests that name no number.
 */

export interface Rule {
  readonly number: number;
  readonly who: string;
  readonly says: string;
  readonly also?: string;
  /** why it is not kept yet */
  readonly open?: string;
}

const row = (number: number, who: string, says: string, more: Partial<Rule> = {}): Rule => ({
  ...{ number, who, says },
  ...more,
});

export const RULES: readonly Rule[] = [
  row(1, 'C', 'configured dialect only'),
  row(2, 'W', 'TLS 1.3 by default, HTTP/1.1'),
  row(3, 'C W', 'every check of an SVID, own and peer', {
    also: 'exactly one URI name, and a key that signs no certificates',
  }),
  row(4, 'C', 'name of the manager from the own SVID, exact', {
    also: 'whom it takes for its manager',
  }),
  row(5, 'C W', 'P-256 with SHA-256', {
    also: 'exactly one URI name, and a key that signs no certificates',
  }),
  row(6, 'C W', 'trust bundle replaced, never merged; none: no connection', {
    also: 'whom it takes for its manager',
  }),
  row(7, 'C W', 'older trust bundle refused', { also: 'a trust bundle is replaced, never merged' }),
  row(8, 'C', 'no trust on first use, no http'),
  row(9, 'W', 'accepted-client policy at each request'),
  row(10, 'W', 'a client sees and writes its own alone'),
  row(11, 'W', 'proxy-supplied certificates only from a configured proxy'),
  row(12, 'C', 'own capabilities first'),
  row(13, 'W', 'child before gateway: 404'),
  row(14, 'C', 'capabilities again on change and start'),
  row(15, 'W', '201, 200, 204, 404 of capabilities'),
  row(16, 'C', 'a hosting device names all resources'),
  row(17, 'C', 'a relay names none'),
  row(18, 'W', 'unknown or missing member: 422 with errors'),
  row(19, 'W', 'unreadable JSON: 400'),
  row(20, 'C W', 'unknown extensions and members ignored'),
  row(21, 'W', 'no Accept: default; no match: 406'),
  row(22, 'C', 'Accept and the accepted ETag, byte for byte'),
  row(23, 'W', '304 without body when unchanged'),
  row(24, 'W', 'manifest: strong ETag of its digest, private'),
  row(25, 'W', 'artifacts immutable, ETag of the digest, 304'),
  row(26, 'W', 'version grows with every change, also over restarts'),
  row(27, 'W', 'a client that told nothing: version 1, nothing'),
  row(28, 'W', 'exact Content-Type'),
  row(29, 'C', 'version as a 64-bit integer; other forms refused'),
  row(30, 'C', 'lower version: refused, event'),
  row(31, 'C', 'equal version, other bytes: refused, event'),
  row(32, 'C', 'floor survives restarts and damage'),
  row(33, 'W', 'bundle null exactly when nothing is deployed'),
  row(34, 'C', 'bundle or deployments missing: refused'),
  row(35, 'C', 'duplicate id or key: refused'),
  row(36, 'C', 'unknown form of digest: whole manifest refused'),
  row(37, 'C', 'SHA-256 of exact bytes, bundle and documents'),
  row(38, 'C', 'mismatch: old state runs on, no ETag kept'),
  row(39, 'C', 'wrong sizeBytes alone: accepted', {
    also: 'come by the bundle, whatever the size hints say',
  }),
  row(40, 'C', 'own caps on bytes, entries, ratio, aliases'),
  row(41, 'C W', 'a bundle holds exactly the listed set'),
  row(42, 'C', 'entries matched by digest'),
  row(43, 'C', 'bundle 404: singly; both 404: wait'),
  row(44, 'C', 'url checked, never another origin'),
  row(45, 'W', 'digest not available: 404 of its kind'),
  row(46, 'W', 'every digest of the manifest can be fetched'),
  row(47, 'C', 'id of the document is that of the manifest'),
  row(48, 'C', 'all verified before anything changes'),
  row(49, 'C', 'removal only by absence from an accepted manifest'),
  row(50, 'C', 'unchanged digest: untouched'),
  row(51, 'C', 'components in order, wait, timeout'),
  row(52, 'C', 'eligibility evaluated on the device'),
  row(53, 'W', 'documents copied unchanged'),
  row(54, 'C', 'parameters reach only the named components', {
    also: 'refused: a component that only Margo names',
  }),
  row(55, 'C', 'type not offered: failed, others go on'),
  row(56, 'C', 'OCI packages by digest'),
  row(57, 'C', 'moved tag of a known revision refused'),
  row(58, 'C', 'status at every change, one entry a component'),
  row(59, 'C', 'the whole is as severe as its worst', {
    also: 'the whole is as severe as its worst component',
  }),
  row(60, 'C', 'adoptedManifestVersion, also on failure and removal'),
  row(61, 'W', 'any of six states taken with 200'),
  row(62, 'W', 'wrong id, state or version: 422'),
  row(63, 'W', 'reports of unknown deployments are taken'),
  row(64, 'C', 'outbox durable and ordered'),
  row(65, 'W', 'errors are problem details'),
  row(66, 'W', 'Retry-After on 429 and 503'),
  row(67, 'C', 'Retry-After obeyed, else backoff with jitter'),
  row(68, 'C', 'decided by type, which is never fetched'),
  row(69, 'C', 'window, period and rate of polling'),
  row(70, 'C', 'one manager for a device'),
  row(71, 'C', 'older dialects: requests signed'),
  row(72, 'W', 'older dialects: 401, 400, 404'),
  row(73, 'W', 'older dialects: created within five minutes'),
  row(74, 'W', 'older dialects: key of the path’s client'),
  row(75, 'W', 'older dialects: onboarding refused with 400, 403'),
  row(76, 'C', 'OCI form of desired state'),
  row(77, 'C', 'a nudge is a hint'),
];

/** The numbers after "rule" or "rules" in the title of a test. */
export function rulesIn(title: string): readonly number[] {
  return [...title.matchAll(/\brules? (\d+(?:, \d+)*)/g)].flatMap(([, list = '']) =>
    list.split(', ').map(Number),
  );
}
