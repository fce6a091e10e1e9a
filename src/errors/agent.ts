/** Faults with the prefix `agent.`: the life of the agent process. */
export const agentFaults = {
  'agent.no-source': {
    retry: 'operator',
    says: (_: Record<string, never>) => 'no source is configured that could be asked',
    remedy: 'Name a registry in agent.yaml, or bring a bundle: holdfast apply BUNDLE.',
  },
  'agent.paused': {
    retry: 'later',
    says: (d: { offered: string }) => `${d.offered} waits: the operator paused this agent`,
    remedy: 'Run `holdfast resume` when changes may come again.',
  },
  'agent.turn': {
    retry: 'later',
    says: (d: { offered: string; other: string }) =>
      `${d.offered} waits: a change of the channel ${d.other} is under way, and this device makes one at a time`,
    remedy:
      'Nothing to do: it goes on by itself. `holdfast status` shows what the other one is at.',
  },
  'agent.which-channel': {
    retry: 'operator',
    says: (d: { what: string; channels: string }) =>
      `${d.what} needs to know which channel: this device follows ${d.channels}`,
    remedy: 'Say it with --channel NAME.',
  },
  'agent.not-followed': {
    retry: 'operator',
    says: (d: { channel: string; channels: string }) =>
      `this device follows no channel ${d.channel} (it follows: ${d.channels})`,
    remedy: 'Correct the name. What it follows stands in agent.yaml, channels.',
  },
  'agent.held': {
    retry: 'later',
    says: (d: { offered: string; held: string }) =>
      `${d.offered} waits: the operator rolled back to ${d.held} and holds it`,
    remedy: 'Run `holdfast resume` to follow the channel again.',
  },
  'agent.safe-mode': {
    retry: 'later',
    says: (d: { offered: string; crashes: number }) =>
      `${d.offered} waits: the agent crashed ${d.crashes} times in a row and runs in safe mode`,
    remedy: 'Read the log, then publish a newer state or run `holdfast resume`.',
  },
  'agent.tries-spent': {
    retry: 'later',
    says: (d: { offered: string; tries: number }) =>
      `${d.offered} waits: it was begun ${d.tries} times, as often as it may be, and each time something newer or a rollback ended it before it was judged`,
    remedy: 'Publish a newer state, or run `holdfast resume` to let this one be tried again.',
  },
  'agent.now-not-allowed': {
    retry: 'operator',
    says: (_: Record<string, never>) =>
      'agent.yaml does not let an operator pass the spread and the maintenance windows',
    remedy:
      'Wait for the window, publish with `urgent: true`, or set `apply: { now: allow }` in agent.yaml.',
  },
  'agent.no-rollback': {
    retry: 'operator',
    says: (d: { channel: string }) => `${d.channel} has no earlier proven state on this device`,
    remedy: 'Publish the state that you want with a new number.',
  },
  'agent.no-evidence': {
    retry: 'operator',
    says: (d: { change: string; reason: string }) =>
      `there is no evidence of the change ${d.change}: ${d.reason}`,
    remedy: 'Look with `holdfast audit` which changes the journal still has.',
  },
  'agent.orphaned': {
    retry: 'operator',
    says: (d: { channel: string }) =>
      `${d.channel} is no longer followed here: what it left runs on, and nothing changes it`,
    remedy:
      'Publish a state that names the same deployments: it takes them over. Or configure that channel again, or take it away: `holdfast forget`.',
  },
  'agent.not-orphaned': {
    retry: 'operator',
    says: (d: { channel: string; known: string }) =>
      `${d.channel} left nothing here that is no longer followed (there is: ${d.known})`,
    remedy: 'See `holdfast forget` without a name. What is followed goes by publishing without it.',
  },
  'agent.no-consent': {
    retry: 'operator',
    says: (d: { path: string; known: string }) =>
      `no one bundle was found that waits for consent: ${d.path} (waiting: ${d.known})`,
    remedy: 'See `holdfast bundles` for what lies there and why; name one of those that wait.',
  },
  'agent.bundle-changed': {
    retry: 'operator',
    says: (d: { path: string; now: string }) =>
      `${d.path} is not what was shown: it holds ${d.now} now, or would change something else`,
    remedy: 'Run `holdfast consent` again, and read what it shows.',
  },
  'agent.busy': {
    retry: 'later',
    says: (d: { what: string }) => `${d.what} has to wait: a change is under way`,
    remedy: 'Run it again when `holdfast wait --for idle` has ended.',
  },
  'agent.self-test': {
    retry: 'operator',
    says: (d: { what: string }) => `this executable does not work here: ${d.what}`,
    remedy:
      'Install the executable built for this machine again, and report its version with this.',
  },
} as const;
