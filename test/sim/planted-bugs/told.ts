/**
 * Planted bugs that the trials at the end of runs find (trials/), or what a start and a report have to say
 * of themselves: what chance seldom tells. Each run undergoes one trial of twelve, so that a bug which only one of
 * them shows takes about twelve runs.
 */
import type { PlantedBug } from './list.ts';

/** runs; each was found in 1 to 30 of them */
const FOUND_WITHIN = 100;

function bug(name: string, where: readonly [string, string, string]): PlantedBug {
  const [file, search, replace] = where;
  return { name, file, search, replace, seeds: FOUND_WITHIN };
}

export const TOLD: readonly PlantedBug[] = [
  bug('tries are counted anew at each acceptance', [
    'apply/journal.ts',
    'tries: (acceptance.tries ?? before.begun) + 1,',
    'tries: 1,',
  ]),
  bug('a proof that was cut is not counted', [
    'apply/recover.ts',
    'takenUp(row) : counted(row);',
    'takenUp(row) : row;',
  ]),
  bug('two statements of one number are taken for one', [
    'trust/sequence.ts',
    "      return attack('trust.equivocation', {",
    "      if (floor) return passed('current', '');\n      return attack('trust.equivocation', {",
  ]),
  bug('an epoch that is over is accepted', [
    'trust/sequence.ts',
    'if (offered.epoch < rootEpoch) {',
    'if (false) {',
  ]),
  bug('a report that was sent is taken for acknowledged', [
    'report/deliver.ts',
    '  const published = await link.publish(topic, signed.value.message, true);\n',
    `  const event = status.events.at(-1)?.number ?? outbox.value.before;
  task.acknowledged = { boot, report: status.report, digest: signed.value.digest, event };
  const published = await link.publish(topic, signed.value.message, true);\n`,
  ]),
  bug('a report that was not taken leaves its number to the next', [
    'report/deliver.ts',
    '  task.report = status.report;\n  const published',
    '  const published',
  ]),
  bug("a new store's directory is not synced", [
    'store/open.ts',
    'return synced.ok ? directory.sync() : synced;',
    'return synced;',
  ]),
  bug('one key that signs twice counts twice', [
    'trust/threshold.ts',
    'if (tried.good) signers.add(candidate.keyid);',
    'if (tried.good) signers.add(candidate.keyid + signers.size);',
  ]),
  bug('a statement for another device is taken', [
    'trust/audience.ts',
    'return audience.ids.includes(device.id)',
    'return true',
  ]),
  bug('a statement that is over is taken', [
    'trust/freshness.ts',
    'if (notAfterMs < time.floorMs) {',
    'if (false) {',
  ]),
  bug('a rollback does not find what it goes to', [
    'agent/collect.ts',
    'row.intent?.to ?? null, ...row.previous];',
    'row.intent?.to ?? null];',
  ]),
  bug('a state that something newer ended is begun from nothing', [
    'apply/journal.ts',
    'const same = tried?.stateDigest === to.stateDigest;',
    'const same = false;',
  ]),
  bug('a stop is a verdict', [
    'agent/stop-programs.ts',
    '  await agent.leaveAlone();\n',
    '  void agent;\n',
  ]),
];
