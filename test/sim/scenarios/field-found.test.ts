/** What the schedules of the field found: each story by itself, on a whole simulated device. */
import { describe, expect, test } from 'bun:test';
import type { Policy } from '#state/policy.ts';
import { apart } from '../apart.ts';
import type { FieldChoice } from '../field/cargo.ts';
import { type Channel, placeOfChannel } from '../field/desk.ts';
import { configText, seenInField } from '../field/device.ts';
import { issueIn } from '../field/publishing.ts';
import { type FieldStage, fieldStage } from '../field/stage.ts';
import { boot, CONFIG_FILE, fall, pass } from '../world/world.ts';

const MINUTE = 60_000;

function device(channels: readonly Channel[]): FieldStage {
  const stage = fieldStage('found', () => {}, { channels, mirrors: 1, consent: 'policy' });
  boot(stage.world);
  pass(stage.world, { ms: 3_000 });
  return stage;
}

function publish(
  stage: FieldStage,
  channel: Channel,
  number: number,
  { policy = {}, ...more }: Partial<FieldChoice> & { readonly policy?: Partial<Policy> } = {},
): void {
  const plain = { place: placeOfChannel(channel), number, web: number, program: number };
  const rest = { valued: false, check: null, endsAfterMs: null, beyond: null };
  const issued = issueIn(stage, channel, { ...plain, ...rest, ...more }, { policy });
  stage.desk.push(issued.artifact, issued);
  stage.desk.nudge(issued, { whole: false, retain: true });
}

const told = (stage: FieldStage, channel: Channel) =>
  seenInField(stage.world)?.told.find((one) => one.channel === channel) ?? null;

const hasApplied = (stage: FieldStage, channel: Channel, sequence: bigint) => (): boolean =>
  told(stage, channel)?.applied?.sequence === sequence;

function follow(stage: FieldStage, channels: readonly Channel[]): void {
  stage.setup = { ...stage.setup, channels };
  stage.world.disk.plant(CONFIG_FILE, configText(stage.setup));
}

const below = (stage: FieldStage, place: string): readonly string[] =>
  [...(seenInField(stage.world)?.files.keys() ?? [])].filter((path) =>
    path.startsWith(`/opt/${place}/`),
  );

const violations = (stage: FieldStage) => stage.model.violations;

/** Seed 362: programs that a channel left were started over those of the state that takes them over. */
test('a power cut while a state that takes over what was left is proven leaves all of it new', async () => {
  const seen = await apart(() => {
    const stage = device(['oem', 'canary']);
    publish(stage, 'canary', 1);
    expect(pass(stage.world, { ms: MINUTE, holds: hasApplied(stage, 'canary', 1n) })).toBe(true);
    publish(stage, 'stable', 2, { policy: { healthWindowMs: MINUTE } });
    follow(stage, ['oem', 'stable']);
    stage.world.running?.reload();
    const proving = (): boolean => told(stage, 'stable')?.phase === 'proving';
    expect(pass(stage.world, { ms: MINUTE, holds: proving })).toBe(true);
    fall(stage.world, 'power');
    boot(stage.world);
    const ready = (): boolean => stage.world.running?.ready === true;
    expect(pass(stage.world, { ms: MINUTE, holds: ready })).toBe(true);
    const at = seenInField(stage.world);
    pass(stage.world, { ms: 2 * MINUTE });
    const applied = told(stage, 'stable')?.applied?.sequence;
    return { at, applied, said: violations(stage) };
  });
  expect(seen.said).toEqual([]);
  expect(seen.at?.files.get('/opt/line/b.conf')).toBe('line 2\n');
  expect(seen.at?.programs.map(({ version }) => version)).toEqual(['line program 2']);
  expect(seen.applied).toBe(1n);
});

/** Seed 42: the roots of a channel go out of agent.yaml together with it. */
describe('what a channel left below roots that nobody names any more', () => {
  test('is taken away by forget', async () => {
    const seen = await apart(() => {
      const stage = device(['oem', 'site']);
      publish(stage, 'site', 1);
      expect(pass(stage.world, { ms: MINUTE, holds: hasApplied(stage, 'site', 1n) })).toBe(true);
      follow(stage, ['oem']);
      stage.world.running?.reload();
      pass(stage.world, { ms: MINUTE });
      const left = { before: below(stage, 'site').length, told: told(stage, 'site')?.orphaned };
      let done: unknown = null;
      void stage.world.running?.handlers.forget('site').then((end) => {
        done = end.ok ? 'forgotten' : end.fault.code;
      });
      pass(stage.world, { ms: MINUTE });
      const programs = seenInField(stage.world)?.programs.length;
      return { left, done, after: below(stage, 'site'), programs };
    });
    expect(seen).toEqual({
      left: { before: 3, told: true },
      done: 'forgotten',
      after: [],
      programs: 0,
    });
  });

  test('is whole again after a change of it that was cut when it was left', async () => {
    const seen = await apart(() => {
      const stage = device(['oem', 'site']);
      publish(stage, 'site', 1);
      expect(pass(stage.world, { ms: MINUTE, holds: hasApplied(stage, 'site', 1n) })).toBe(true);
      publish(stage, 'site', 2, { policy: { healthWindowMs: MINUTE } });
      const proving = (): boolean => told(stage, 'site')?.phase === 'proving';
      expect(pass(stage.world, { ms: MINUTE, holds: proving })).toBe(true);
      follow(stage, ['oem']);
      fall(stage.world, 'power');
      boot(stage.world);
      const ready = (): boolean => stage.world.running?.ready === true;
      expect(pass(stage.world, { ms: MINUTE, holds: ready })).toBe(true);
      return { found: seenInField(stage.world), said: violations(stage) };
    });
    expect(seen.said).toEqual([]);
    expect(seen.found?.files.get('/opt/site/b.conf')).toBe('site 1\n');
    expect(seen.found?.programs.map(({ version }) => version)).toEqual(['site program 1']);
  });
});
