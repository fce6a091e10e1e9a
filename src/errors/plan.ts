/** Faults with the prefix `plan.`: turning a statement into steps (check 15). */
export const planFaults = {
  'plan.target-outside-roots': {
    retry: 'never',
    says: (d: { deployment: string; target: string; roots: string }) =>
      `${d.deployment}: target ${d.target} is outside the roots this channel may write (${d.roots})`,
    remedy: 'Move the target, or let channels[].allow.roots in agent.yaml name its root.',
  },
  'plan.target-value': {
    retry: 'operator',
    says: (d: { deployment: string; target: string }) =>
      `${d.deployment}: a value of target ${d.target} is no part of a file name on this device`,
    remedy: 'Use values without "/" there, not "." or ".."; labels stand in agent.yaml.',
  },
  'plan.runtime-unknown': {
    retry: 'never',
    says: (d: { deployment: string; type: string }) =>
      `${d.deployment}: this agent has no runtime "${d.type}"`,
    remedy: 'Publish it to devices that have this runtime, or use files or process.',
  },
  'plan.runtime-not-allowed': {
    retry: 'never',
    says: (d: { deployment: string; type: string; allowed: string }) =>
      `${d.deployment}: runtime "${d.type}" is not allowed to this channel (allowed: ${d.allowed})`,
    remedy: 'Let channels[].allow.runtimes in agent.yaml name it, or publish without it.',
  },
  'plan.user-not-allowed': {
    retry: 'never',
    says: (d: { deployment: string; user: string; allowed: string }) =>
      `${d.deployment}: user "${d.user}" is not allowed to this channel (allowed: ${d.allowed})`,
    remedy: 'Let channels[].allow.users in agent.yaml name the user, or name another one.',
  },
  'plan.conflict': {
    retry: 'never',
    says: (d: { target: string; one: string; other: string }) =>
      `${d.one} and ${d.other} both want ${d.target}`,
    remedy:
      'Give each deployment an id and a target of its own, none inside another. What another channel has is free when a state of it without it is applied, or after `holdfast forget`.',
  },
  'plan.unknown-dependency': {
    retry: 'never',
    says: (d: { deployment: string; needs: string }) =>
      `${d.deployment} depends on ${d.needs}, which the state does not have`,
    remedy: 'Add the deployment that is missing, or take it out of dependsOn.',
  },
  'plan.dependency-cycle': {
    retry: 'never',
    says: (d: { circle: string }) => `dependsOn goes in a circle: ${d.circle}`,
    remedy: 'Take one of these dependencies away.',
  },
  'plan.blob-missing': {
    retry: 'never',
    says: (d: { deployment: string; blob: string }) =>
      `${d.deployment} names the blob ${d.blob}, which the statement does not list`,
    remedy: 'Publish again with this version of holdfast.',
  },
  'plan.document-missing': {
    retry: 'later',
    says: (d: { deployment: string; digest: string }) =>
      `the document of ${d.deployment} (${d.digest}) is not in the documents layer`,
    remedy: 'Publish again; the registry holds an incomplete artifact.',
  },
  'plan.spread': {
    retry: 'later',
    says: (d: { offered: string; until: string; spread: string }) =>
      `${d.offered} waits for its place in the spread, until ${d.until} (its policy spreads devices over ${d.spread})`,
    remedy:
      'Nothing to do: it goes on by itself. To go now: `holdfast apply --now`, or publish with `urgent: true`.',
  },
  'plan.window-closed': {
    retry: 'later',
    says: (d: { offered: string; opens: string; now: string; grade: string }) =>
      `${d.offered} waits for a maintenance window, which opens at ${d.opens} (now: ${d.now}, ${d.grade})`,
    remedy:
      'Nothing to do: it goes on by itself. To go now: `holdfast apply --now`, or publish with `urgent: true`.',
  },
  'plan.window-unknown-time': {
    retry: 'later',
    says: (d: { offered: string; why: string }) =>
      `${d.offered} waits for a maintenance window, and this device does not know the time: ${d.why}`,
    remedy:
      'Set the clock, or give it a time authority (docs/operate.md). To go now: `holdfast apply --now`, or publish with `urgent: true`.',
  },
  'plan.time-zone': {
    retry: 'never',
    says: (d: { offered: string; timeZone: string }) =>
      `${d.offered} names the time zone "${d.timeZone}", which this agent does not have`,
    remedy: 'Publish its windows in a zone that the agents of this fleet know, such as UTC.',
  },
  'plan.value-missing': {
    retry: 'operator',
    says: (d: { deployment: string; parameter: string; label: string }) =>
      `${d.deployment}: parameter ${d.parameter} wants the label "${d.label}", which this device lacks`,
    remedy: 'Set device.labels in agent.yaml and send SIGHUP, or give the parameter a value.',
  },
} as const;
