/** What publishers do in the field: what they sign, with which policy, and how it gets out. */
import type { Policy } from '#state/policy.ts';
import { simKey } from '../world/keys.ts';
import type { Dice } from '../world/random.ts';
import { USB } from '../world/world.ts';
import type { FieldChoice } from './cargo.ts';
import {
  CHANNELS,
  type Channel,
  type FieldIssued,
  type FieldIssueOptions,
  OWN,
  placeOfChannel,
} from './desk.ts';
import type { FieldAct } from './schedule.ts';
import { type FieldStage, tellClock } from './stage.ts';

export type Do = (stage: FieldStage, choose: Dice) => void;

const MINUTE = 60_000;
const SPREAD_MS = 20 * MINUTE;
const HOURS = Array.from({ length: 12 }, (_, index) => index * 2);

export function plainChoice(stage: FieldStage, channel: Channel, choose: Dice): FieldChoice {
  stage.contents += 1;
  const number = stage.contents;
  const kept = Math.max(1, number - 1 - choose.below(4));
  return {
    place: placeOfChannel(channel),
    number,
    web: choose.oneIn(2) ? null : choose.pick([number, kept]),
    program: choose.oneIn(3) ? null : choose.pick([number, kept, kept]),
    valued: false,
    check: choose.pick(['healthy', null, null] as const),
    endsAfterMs: null,
    beyond: null,
  };
}

type Options = Omit<FieldIssueOptions, 'at'>;

export function issueIn(
  stage: FieldStage,
  channel: Channel,
  choice: FieldChoice,
  options: Options = {},
): FieldIssued {
  const issued = stage.desk.issue(channel, choice, { ...options, at: stage.world.time.now });
  tellClock(stage);
  stage.model.published(issued);
  return issued;
}

/** Into the registries, and told to devices or not. */
export function releaseIn(stage: FieldStage, issued: FieldIssued, choose: Dice): void {
  const { desk, heads } = stage;
  desk.push(issued.artifact, issued);
  stage.model.consented(issued.digest);
  if (issued.valid) heads.set(issued.artifact.channel, issued);
  const how = choose.below(4);
  if (how > 0) desk.nudge(issued, { whole: how === 3, retain: choose.oneIn(2) });
}

/** One that the device follows, or rarely another one. */
export function someChannel({ setup }: FieldStage, choose: Dice): Channel {
  if (choose.oneIn(12)) return choose.pick(CHANNELS.filter((channel) => channel !== OWN));
  return choose.pick(setup.channels);
}

function publishing(
  change: (choose: Dice, stage: FieldStage) => Partial<FieldChoice>,
  options: (choose: Dice, stage: FieldStage) => Options = () => ({}),
): Do {
  return (stage, choose) => {
    const channel = someChannel(stage, choose);
    const plain = plainChoice(stage, channel, choose);
    const choice = { ...plain, ...change(choose, stage) };
    releaseIn(stage, issueIn(stage, channel, choice, options(choose, stage)), choose);
  };
}

/** Every second hour for a while, from some minute on: some are open now, all open within two hours. */
export function someWindows({ world }: FieldStage, choose: Dice): Policy['windows'] {
  const minute = choose.below(60);
  const first = new Date(world.wallMs()).getUTCHours() + choose.below(2);
  const durationMs = choose.pick([10, 20, 40]) * MINUTE;
  const two = (part: number): string => String(part).padStart(2, '0');
  return HOURS.map((hours) => {
    const start = `${two((first + hours) % 24)}:${two(minute)}`;
    return { weekdays: [], start, durationMs, timeZone: 'UTC' };
  });
}

const policy = (given: Partial<Policy>): Options => ({ policy: given });

const GUARDED = { commit: 'reachable' } as const;

export const PUBLISHING = {
  publish: publishing(
    () => ({}),
    (choose) => policy(choose.oneIn(5) ? { healthWindowMs: 700 } : {}),
  ),
  'publish-bad': publishing((choose, { contents }) =>
    choose.oneIn(2) ? { check: 'ill' } : { program: contents, endsAfterMs: 300 },
  ),
  'publish-windowed': publishing(
    () => ({}),
    (choose, stage) => policy({ windows: someWindows(stage, choose) }),
  ),
  'publish-spread': publishing(
    () => ({}),
    (choose, stage) => {
      const windows = choose.oneIn(4) ? someWindows(stage, choose) : [];
      return policy({ spreadMs: SPREAD_MS, windows });
    },
  ),
  'publish-urgent': publishing(
    () => ({}),
    (choose, stage) =>
      policy({ urgent: true, spreadMs: SPREAD_MS, windows: someWindows(stage, choose) }),
  ),
  'publish-reachable': publishing(
    () => ({}),
    (choose) => policy({ ...GUARDED, healthWindowMs: choose.pick([0, 60_000]) }),
  ),
  'publish-severing': publishing(
    () => ({}),
    (choose) => ({
      ...policy({ ...GUARDED, healthWindowMs: choose.pick([0, 60_000]), attemptsMax: 2 }),
      severs: true,
    }),
  ),
  'publish-valued': publishing((_choose, { contents }) => ({ valued: true, program: contents })),
  'publish-shared': publishing(() => ({ beyond: 'shared' })),
  'publish-outside': publishing(() => ({ beyond: 'outside' })),
  'publish-forged'(stage, choose) {
    const { desk, world } = stage;
    const channel = someChannel(stage, choose);
    const counter = desk.issued.filter((one) => one.channel === channel).at(-1)?.sequence ?? 0n;
    const choice = plainChoice(stage, channel, choose);
    const issued = issueIn(stage, channel, choice, {
      signer: simKey('nobody'),
      sequence: counter + 1n + BigInt(choose.below(50)),
    });
    const before = world.registry.tags.get(channel);
    if (choose.oneIn(2)) releaseIn(stage, issued, choose);
    else desk.nudge(issued, { whole: true, retain: choose.oneIn(2) });
    world.time.after(60_000, () => {
      if (before) world.registry.tags.set(channel, before);
    });
  },
  values(stage, choose) {
    const { desk, model } = stage;
    stage.contents += 1;
    const serial = `serial-${stage.contents}`;
    const issued = desk.issueValues(serial);
    model.valuesPublished(serial);
    desk.push(issued.artifact, issued);
    if (!choose.oneIn(4)) desk.nudge(issued, { whole: choose.oneIn(2), retain: choose.oneIn(2) });
  },
  /** Somebody brings it; it is nowhere else, or it is to be had from the registries as well. */
  bundle(stage, choose) {
    const { desk, world, model } = stage;
    const channel = someChannel(stage, choose);
    const windows = choose.oneIn(3) ? someWindows(stage, choose) : [];
    const issued = issueIn(stage, channel, plainChoice(stage, channel, choose), {
      policy: { windows, spreadMs: choose.oneIn(3) ? SPREAD_MS : 0 },
    });
    const path = `${USB}/stick-${stage.contents}`;
    stage.sticks = [...stage.sticks, { path, issued }].slice(-4);
    desk.bundle(world.disk, path, issued.artifact);
    // A stick is brought by a person to one machine: there is no crowd to spread.
    model.timing.unspread(issued.digest);
    if (stage.setup.consent === 'ask') model.asksFor(issued.digest);
    if (choose.oneIn(3)) releaseIn(stage, issued, choose);
  },
  'turn-back'({ desk, world, setup }, choose) {
    const channel = choose.pick(setup.channels);
    const tags = [...world.registry.tags].filter(([tag]) => tag.startsWith(`${channel}_`));
    if (tags.length > 0) world.registry.tags.set(channel, choose.pick(tags)[1]);
    void desk;
  },
  rotate(stage, choose) {
    const channel = choose.pick(stage.setup.channels);
    stage.desk.rotate(channel, false);
    releaseIn(stage, issueIn(stage, channel, plainChoice(stage, channel, choose)), choose);
  },
  epoch(stage, choose) {
    const channel = choose.pick(stage.setup.channels);
    stage.desk.rotate(channel, true);
    releaseIn(stage, issueIn(stage, channel, plainChoice(stage, channel, choose)), choose);
  },
} satisfies Partial<Record<FieldAct, Do>>;
