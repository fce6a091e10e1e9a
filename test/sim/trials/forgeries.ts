/**
 * What nobody may publish, in every way that a statement comes by: nothing of it is taken, and the
 * device says why (checks 6 to 15). That nothing of it is in force is for the model to see (I3).
 */
import { issue } from '../actors.ts';
import { simKey } from '../world/keys.ts';
import {
  channelKeys,
  EPOCH_START_MS,
  type Forgery,
  type Publisher,
  ROOT_KEYS,
  signRoot,
} from '../world/publisher.ts';

import { pass, USB } from '../world/world.ts';
import { demand, outside, plain, SEEN_MS, type Trial, type Trying, view } from './trial.ts';

const DAY_MS = 86_400_000;
const FORGER = simKey('forger');

/** A root that offers the forger's key, signed by these. */
function forgedRoot(
  { rootVersion, epoch }: Publisher,
  above: bigint,
  signedBy: typeof ROOT_KEYS,
): Forgery {
  const version = rootVersion + above;
  return {
    signers: [FORGER],
    root: signRoot({ version, epoch, keys: [FORGER], signedBy }),
    says: { rootVersion: version },
  };
}

const [A] = ROOT_KEYS;
const ONE_ROOT_KEY = A ? [A, A] : [];

/** Root keys have signed it: were the version before it made after all, it would be the next one. */
const GAP = 'a root that leaves one out';

const FORGERIES: Readonly<Record<string, (publisher: Publisher) => Forgery>> = {
  'nobody’s key': () => ({ signers: [simKey('nobody')] }),
  'one key twice': ({ rootVersion, signers }) => {
    const [first] = channelKeys(rootVersion, signers);
    return { signers: first ? [first, first] : [] };
  },
  'no signature': () => ({ signers: [] }),
  'keys of the root before': ({ rootVersion, signers }) => ({
    signers: channelKeys(rootVersion - 1n, signers),
  }),
  'root keys': () => ({ signers: ROOT_KEYS }),
  'another fleet': () => ({ says: { fleet: 'ffeeddccbbaa99887766554433221100' } }),
  'another channel': () => ({ says: { channel: 'canary' } }),
  'another device': () => ({ says: { audience: { kind: 'devices', ids: ['press-8'] } } }),
  'no device': () => ({ says: { audience: { kind: 'devices', ids: [] } } }),
  'one that is over': () => ({ says: { notAfter: EPOCH_START_MS - 2 * DAY_MS } }),
  'what is critical and unknown': () => ({ says: { critical: ['quantum'] } }),
  'one for a newer agent': () => ({ says: { minAgentVersion: '99.0.0' } }),
  'the epoch before': ({ epoch }) => ({ says: { epoch: epoch - 1n } }),
  'an epoch that no root names': ({ epoch }) => ({ says: { epoch: epoch + 1n } }),
  'a root of strangers': (publisher) => forgedRoot(publisher, 1n, [FORGER]),
  'a root of one root key': (publisher) => forgedRoot(publisher, 1n, ONE_ROOT_KEY),
  [GAP]: (publisher) => forgedRoot(publisher, 2n, ROOT_KEYS),
};

/** For others, or waited for until the channel says something else: no news by then. */
const PASSES = new Set(['another device', 'an epoch that no root names']);
const NEEDS_TWO = new Set(['one key twice', 'keys of the root before']);

/** of one trial */
const TIMES = 5;
/** ms in which the device has looked, at its registry and at what was put in */
const LOOKED_MS = 8 * 60_000;

export const forged: Trial = (trying) => {
  const names = Object.keys(FORGERIES);
  const last: string[] = [];
  for (let time = 0; time < TIMES; time += 1) {
    const picked = names.splice(trying.choose.below(names.length), 1);
    if (picked.includes(GAP)) last.push(GAP);
    else forgeEach(trying, picked);
  }
  forgeEach(trying, last);
};

function forgeEach(trying: Trying, names: readonly string[]): void {
  for (const name of names) {
    if (trying.stage.model.violations.length === 0) forge(trying, name);
  }
}

function forge(trying: Trying, name: string): void {
  const { stage, choose } = trying;
  const { world } = stage;
  const { publisher, registry } = world;
  if (name === 'the epoch before') {
    // The device learns of the new epoch by this very statement: its root comes before it.
    publisher.rotate({ epoch: true });
  } else if (NEEDS_TWO.has(name)) {
    publisher.rotate({ epoch: false, signers: 2 });
  }
  const before = view(trying)?.desired?.stateDigest;
  const tag = registry.tags.get('stable');
  const floor = world.publisher.issued.findLast(({ digest }) => digest === before);
  const sequence = (floor?.sequence ?? 0n) + 1n + BigInt(choose.below(3));
  const issued = issue(stage, plain(stage, choose), {
    sequence,
    forged: FORGERIES[name]?.(publisher) ?? {},
  });
  switch (choose.below(3)) {
    case 0:
      publisher.push(issued);
      publisher.nudge(issued, { whole: false, retain: false });
      break;
    case 1:
      publisher.nudge(issued, { whole: true, retain: choose.oneIn(2) });
      break;
    default:
      stage.bundles += 1;
      outside(world, () => publisher.bundle(world.disk, `${USB}/bundle-${stage.bundles}`, issued));
  }
  pass(world, { ms: LOOKED_MS });
  const said = view(trying);
  demand(trying, said?.desired?.stateDigest === before, `${name} was accepted`);
  const told = said?.refused ?? said?.waitingFor ?? null;
  demand(trying, told !== null || PASSES.has(name), `${name} came, and nothing is told of it`);
  if (tag) registry.tags.set('stable', tag);
}

/** A second statement of one number, by keys that may: never in force, and told as what it is. */
export const equivocated: Trial = (trying) => {
  const { stage, choose } = trying;
  const { world } = stage;
  const { publisher, registry } = world;
  const before = view(trying)?.desired?.stateDigest;
  const tag = registry.tags.get('stable');
  const { sequence } = publisher;
  const made = plain(stage, choose);
  const issued = issue(stage, made, { sequence, mark: 'other', forged: {} });
  publisher.nudge(issued, { whole: choose.oneIn(2), retain: false });
  publisher.push(issued);
  pass(world, { ms: SEEN_MS });
  if (choose.oneIn(2)) {
    // What anybody can have refused after it does not hide it.
    const noise = { sequence: sequence + 2n, forged: { signers: [FORGER] } };
    const other = issue(stage, plain(stage, choose), noise);
    publisher.nudge(other, { whole: choose.oneIn(2), retain: choose.oneIn(2) });
    pass(world, { ms: SEEN_MS });
  }
  const said = view(trying);
  demand(
    trying,
    said?.desired?.stateDigest === before,
    'another statement of the number was accepted',
  );
  const told = said?.refused;
  const alarm = told?.code === 'trust.equivocation' && told.attack;
  demand(trying, alarm, `two statements of one number, and ${told?.code ?? 'nothing'} is told`);
  if (tag) registry.tags.set('stable', tag);
};
