/**
 * The Margo side of an agent, where agent.yaml has the section `margo`: identity, link, the finder of the
 * channel `margo`, what the machine can do, and the status of its deployments. `beside` puts the ETag
 * into the commit that accepts the manifest it came with (MARGO.md section 2, step 6).
 */
import { emptyRow } from '#apply/journal.ts';
import type { Moment } from '#apply/transaction.ts';
import { ok, type Result } from '#errors/fault.ts';
import type { MargoLink } from '#link/margo.ts';
import type { Allow } from '#plan/allow.ts';
import type { Platform } from '#platform/platform.ts';
import { margoSigned } from '#sources/margo-signed.ts';
import type { Source } from '#sources/source.ts';
import type { ChannelRow } from '#state/channel-row.ts';
import { HELM_PROFILE } from '#state/deployment.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import type { MargoCapabilities, MargoLinkRow } from '#state/margo.ts';
import type { Policy } from '#state/policy.ts';
import type { StoreWriter } from '#store/store.ts';
import { writeMargoCapabilities } from '#wire/margo-capabilities.ts';
import { writeOlderCapabilities } from '#wire/margo-capabilities-older.ts';
import type { Base } from './base.ts';
import type { AgentConfig } from './config.ts';
import type { Finder } from './find.ts';
import type { Follower } from './follow.ts';
import { relayOnly } from './margo-children-config.ts';
import type { MargoConfig } from './margo-config.ts';
import {
  knownDocuments,
  type MargoFinder,
  type MargoFinderInput,
  margoFinder,
} from './margo-finder.ts';
import { type Gateway, openGateway } from './margo-gateway.ts';
import { downForMs, quietNow } from './margo-hours.ts';
import { margoCapabilities } from './margo-machine.ts';
import { margoParts } from './margo-parts.ts';
import { type MargoOffer, type MargoOffers, margoOffers } from './margo-refused.ts';
import { type MargoFacts, type MargoReports, openMargoReports } from './margo-reports.ts';
import { type MargoSide, openMargoSide } from './margo-side.ts';
import { signedMargoFinder } from './margo-signed.ts';
import {
  keptMargoState,
  MARGO_CHANNEL,
  type MargoDeployment,
  type MargoSelf,
} from './margo-state.ts';
import type { Links } from './sources.ts';

export interface Margo {
  readonly finder: MargoFinder;
  /** where its manifests must be signed: a source among others, and what reads them; null: it is believed */
  readonly signed: SignedMargo | null;
  /** Within the commit of an acceptance. */
  beside(tx: StoreWriter, moment: Moment): void;
  /** After each durable transition, and at the start. */
  note(): void;
  close(): void;
}

export interface SignedMargo {
  readonly source: Source;
  around(finder: Finder): Finder;
}

export interface MargoInput {
  readonly platform: Platform;
  readonly base: Base;
  readonly config: MargoConfig;
  readonly allow: Allow;
  /** profiles of containers that this device offers */
  readonly packaged: readonly string[];
  readonly runDir: string;
  readonly stateDir: string;
  row(): ChannelRow;
  /** what became of the newest that was offered */
  judged: Parameters<typeof margoOffers>[0];
  /** where contents lie, by digest */
  sources(): readonly Source[];
}

/** Where a manager is configured, it is put into `wires`, and closed with the links. */
export function withMargo(
  {
    platform,
    base,
    config,
  }: Pick<MargoInput, 'platform' | 'base'> & { readonly config: AgentConfig },
  wires: {
    margo?: Margo;
    readonly followers: ReadonlyMap<string, Pick<Follower, 'refusal' | 'row' | 'waitingFor'>>;
  },
  links: Links,
): Result<Links> {
  const { margo: settings, runDir, stateDir, channels } = config;
  const own = channels.find(({ name }) => name === MARGO_CHANNEL);
  if (!settings || !own) return ok(links);
  const row = () =>
    wires.followers.get(MARGO_CHANNEL)?.row() ?? emptyRow(base.root.fleet, MARGO_CHANNEL);
  const { allow } = own;
  const judged = () => {
    const follower = wires.followers.get(MARGO_CHANNEL);
    return { refusal: follower?.refusal() ?? null, waiting: follower?.waitingFor() ?? null };
  };
  const margo = openMargo({
    ...{ platform, base, config: settings, allow, runDir, stateDir, row, judged },
    packaged: allow.runtimes.filter((type) => isPackaged(config, type)),
    sources: () => links.of(MARGO_CHANNEL).sources,
  });
  if (!margo.ok) return margo;
  wires.margo = margo.value;
  const close = async (): Promise<void> => {
    margo.value.close();
    await links.close();
  };
  return ok({ ...links, close });
}

/** A chart needs a cluster that the owner named; a container engine is found. */
function isPackaged({ helm }: Pick<AgentConfig, 'helm'>, type: string): boolean {
  return type === 'compose' || (type === HELM_PROFILE && helm !== null);
}

/** What a manifest says nothing of: each change is tried as our own are. */
const POLICY: Policy = {
  urgent: false,
  windows: [],
  spreadMs: 0,
  atomicity: 'deployment',
  healthWindowMs: 0,
  attemptsMax: LIMITS.attemptsMaxDefault,
  allowRemoval: 0n,
  unattestedMaxMs: 0,
  commit: 'healthy',
};
const NO_ROW: MargoLinkRow = { etag: '', state: null, capabilities: null, children: [] };

function openMargo(input: MargoInput): Result<Margo> {
  const { platform, base, config } = input;
  const { time, store, content } = base;
  const side = openMargoSide(input);
  if (!side.ok) return side;
  const { link } = side.value;
  const { fleet } = base.root;
  const capabilities = capabilitiesOf(input, side.value);
  const policy = { ...POLICY, windows: config.hours.windows };
  const self = (): Result<MargoSelf> => {
    const said = capabilities();
    if (!said.ok) return said;
    const { device } = base;
    const shared = config.authority === 'signature';
    const own = { fleet, capabilities: said.value, device, allow: input.allow, policy, shared };
    return ok({ ...own, relay: config.relay, children: gateway.known() });
  };
  const gateway = openGateway({
    ...{ platform, base, config, link, self, row: () => input.row() },
    sources: () => input.sources(),
    deviceId: () => idOf(config, side.value),
    changed: () => (reports.ok ? reports.value.note() : undefined),
  });
  const { clock, random, log } = platform;
  const offers = margoOffers(input.judged);
  const reports = openMargoReports({
    ...{ link, store, clock, random, log, fleet, dialect: config.dialect },
    facts: factsOf(input, self, { children: gateway.children, offers }),
    downForMs: () => downForMs(config.hours, time.view()),
  });
  if (!reports.ok) return reports;
  const of = {
    ...{ link, inflate: platform.inflate, content, name: new URL(config.url).host, self },
    introduce: introduction(input, link, { reports: reports.value, capabilities, gateway }),
    reached: () => reports.value.reached(),
    offered: (offer: MargoOffer) => offers.take(offer),
  };
  const finder = margoFinder({
    ...{ ...of, clock, store, row: () => input.row() },
    quiet: (wake) => quietNow(config.hours, time.view(), wake.kind),
    alsoFound(warnings) {
      for (const message of warnings) log.write('warn', 'margo.manifest', { message });
    },
  });
  return ok({
    finder,
    signed: config.authority === 'signature' ? signedBy(input, of) : null,
    beside(tx, moment) {
      if (moment.kind !== 'accepted') return;
      const state = moment.row.floor?.stateDigest ?? null;
      const before = tx.margoLink(fleet);
      const row = (before.ok && before.value) || NO_ROW;
      if (state) tx.putMargoLink(fleet, { ...row, state, etag: finder.etagOf(state) });
    },
    note() {
      gateway.children.note();
      reports.value.note();
    },
    close() {
      gateway.children.stop();
      reports.value.stop();
      side.value.stop();
      link.close();
    },
  });
}

/** DSSE envelopes over manifests, by every way that a statement comes. */
function signedBy(
  { base, config, row }: MargoInput,
  of: Pick<
    MargoFinderInput,
    'content' | 'inflate' | 'introduce' | 'link' | 'name' | 'offered' | 'reached' | 'self'
  >,
): SignedMargo {
  const known = { content: of.content, row };
  const source = margoSigned({
    ...{ name: of.name, link: of.link, heldRoot: base.roots.held },
    answered: () => of.reached(),
    down: () => downForMs(config.hours, base.time.view()) > 0,
  });
  const reading = { ...of, knownDocuments: () => knownDocuments(known) };
  return { source, around: (finder) => signedMargoFinder(reading, finder) };
}

function capabilitiesOf(
  { platform, base, config, packaged }: MargoInput,
  { deviceId }: Pick<MargoSide, 'deviceId'>,
): () => Result<MargoCapabilities> {
  const machine = {
    files: platform.files,
    freeBytes() {
      const free = base.content.freeBytes();
      return free.ok ? free.value : null;
    },
  };
  return () => {
    const id = idOf(config, { deviceId });
    if (!id.ok) return id;
    const said = margoCapabilities(machine, config, id.value, packaged);
    return ok(config.relay ? relayOnly(said, config.labels) : said);
  };
}

function idOf(config: MargoConfig, { deviceId }: Pick<MargoSide, 'deviceId'>): Result<string> {
  return config.deviceId === null ? deviceId() : ok(config.deviceId);
}

/** M14: at every start, and again whenever something of it has changed. */
function introduction(
  { base, config: { dialect } }: MargoInput,
  link: Pick<MargoLink, 'putCapabilities'>,
  {
    reports,
    capabilities,
    gateway,
  }: {
    readonly reports: MargoReports;
    readonly capabilities: () => Result<MargoCapabilities>;
    readonly gateway: Pick<Gateway, 'introduce'>;
  },
): () => Promise<Result<void>> {
  const { store } = base;
  const { fleet } = base.root;
  let told: Digest | null = null;
  const own = async (): Promise<Result<void>> => {
    const known = capabilities();
    if (!known.ok) return known;
    const said = known.value;
    const body =
      dialect === 'rc3' ? writeMargoCapabilities(said) : writeOlderCapabilities(said, dialect);
    const digest = sha256(body);
    if (told === digest) return ok();
    const before = store.margoLink(fleet);
    const row = (before.ok && before.value) || NO_ROW;
    const put = await link.putCapabilities(said.properties.id, body, row.capabilities !== null);
    if (!put.ok) return put;
    told = digest;
    reports.reached();
    if (row.capabilities === digest) return ok();
    return store.transaction((tx) => tx.putMargoLink(fleet, { ...row, capabilities: digest }));
  };
  return async () => {
    const done = await own();
    // M12: after its own.
    if (done.ok) await gateway.introduce();
    return done;
  };
}

/** The states that the row names, read from disk once each. */
function factsOf(
  { base, row }: MargoInput,
  self: () => Result<MargoSelf>,
  { children, offers }: Pick<Gateway, 'children'> & { readonly offers: MargoOffers },
): () => MargoFacts | null {
  const known = new Map<Digest, readonly MargoDeployment[]>();
  const deployments = (digest: Digest | undefined): readonly MargoDeployment[] | null => {
    if (digest === undefined) return [];
    const before = known.get(digest);
    if (before) return before;
    const kept = base.content.readStatement(digest);
    const own = self();
    if (!own.ok) return null;
    const made = kept.ok ? keptMargoState(kept.value, own.value) : kept;
    if (!made.ok) return null;
    if (known.size >= 4) known.clear();
    known.set(digest, made.value.deployments);
    return made.value.deployments;
  };
  return () => {
    const of = row();
    const accepted = deployments(of.floor?.stateDigest);
    const applied = deployments(of.applied?.stateDigest);
    if (!accepted || !applied) return null;
    const rejected = base.store.rejected(of.fleet, of.channel);
    const found = (rejected.ok ? rejected.value : []).find(
      ({ point }) => point.stateDigest === of.floor?.stateDigest,
    );
    const { deferred } = of;
    const held = deferred ? deployments(deferred.to.stateDigest) : null;
    const waiting = held && { version: deferred?.to.sequence ?? 1n, deployments: held };
    const parts = margoParts(base.store, of);
    const said = { row: of, accepted, applied, rejected: found ?? null, children };
    const known = { ...said, ...(parts && { parts }) };
    return { ...known, ...(waiting && { waiting }), refused: offers.refused(of) };
  };
}
