/**
 * Planted bugs of a device with several channels, hunted in schedules of the field only
 * (field/schedule.ts): what begins when, what one channel may do to another, what one left.
 */
import type { PlantedBug } from './list.ts';

function bug(name: string, seeds: number, where: readonly [string, string, string]): PlantedBug {
  const [file, search, replace] = where;
  return { name, file, search, replace, seeds, field: true };
}

const DEFERRAL = 'agent/deferral.ts';

export const FIELD_PLANTED: readonly PlantedBug[] = [
  bug('maintenance windows are not looked at before a change begins', 40, [
    DEFERRAL,
    '  if (passes(candidate) || change.steps.length === 0) return null;\n',
    '  if (true) return null;\n',
  ]),
  bug('a dead clock opens a maintenance window', 400, [
    DEFERRAL,
    '  if (!wallPlausible) {\n',
    '  if (false) {\n',
  ]),
  bug('the spread of a state is not waited for', 40, [
    DEFERRAL,
    '  const waits = isSpread(input, candidate) ? spread(self, candidate) : null;\n',
    '  const waits = null as Fault | null;\n',
  ]),
  bug('what is urgent waits like the rest', 200, [
    DEFERRAL,
    '  return now === true || state.policy.urgent;\n',
    '  return now === true;\n',
  ]),
  bug('nobody asks whether the control plane is still there', 60, [
    'agent/make-change.ts',
    "  return state.policy.commit === 'reachable' && steps.length > 0;\n",
    '  return false;\n',
  ]),
  bug('after a cut nobody asks whether the control plane is still there', 200, [
    'apply/recover.ts',
    '    ...(reach && { reach }),\n',
    '',
  ]),
  bug('one channel may have what another one has', 60, [
    'apply/owned.ts',
    '  return checkOwned(',
    '  if (true) return ok();\n  return checkOwned(',
  ]),
  bug('a channel may write where its owner does not let it', 40, [
    'plan/plan.ts',
    '  if (!allowed.ok) return allowed;\n',
    '',
  ]),
  bug('a pause of one channel keeps nothing out', 60, [
    'agent/follow.ts',
    '  return device.paused || row.paused !== undefined;\n',
    '  return device.paused;\n',
  ]),
  bug('a pause of one channel is one of all', 60, [
    'agent/operating.ts',
    "one.value.pause(reason, 'channel')",
    "one.value.pause(reason, 'device')",
  ]),
  bug('what another channel left is not taken over', 100, [
    'apply/orphans.ts',
    '      if (ids.has(id) && !found.has(id)) found.set(id, generation);\n',
    '',
  ]),
  bug('what was taken over still belongs to the channel that was left', 200, [
    'apply/orphans.ts',
    '  if (others.length === 0 || !own.applied) return;\n',
    '  if (others.length >= 0) return;\n',
  ]),
  bug('programs of a channel that was left are not started again', 100, [
    'agent/device-agent.ts',
    '      if (proving.has(generation.id)) continue;\n',
    '      if (generation.id) continue;\n',
  ]),
  bug('programs of a channel that was left are started over those that take them over', 200, [
    'agent/device-agent.ts',
    '      if (proving.has(generation.id)) continue;\n',
    '',
  ]),
  bug('a change whose channel was left stays half done', 200, [
    'apply/left.ts',
    '    if (isFollowed(context.followed, row) || row.intent === null) continue;\n',
    '    if (row.channel) continue;\n',
  ]),
  bug('what a channel left is out of reach with its roots', 100, [
    'apply/targets.ts',
    '  if (left?.().has(target)) return true;\n',
    '',
  ]),
  bug('a stick is applied without asking', 60, [
    'agent/bundles.ts',
    "      input.consent === 'ask'\n",
    "      String(input.consent) === 'never'\n",
  ]),
  bug('forget leaves everything where it is', 100, [
    'agent/forget.ts',
    '  const steps = stepsBetween(found.generations, []);\n',
    '  const steps = stepsBetween([], []);\n',
  ]),
  bug('other values of the device restart nothing', 100, [
    'agent/device-channel.ts',
    '  input.valuesChanged();\n  const tookMs',
    '  const tookMs',
  ]),
];
