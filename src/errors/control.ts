/** Faults with the prefix `control.`: the local sockets between command line and agent. */
export const controlFaults = {
  'control.no-agent': {
    retry: 'operator',
    says: (d: { socket: string }) => `no agent answers at ${d.socket}`,
    remedy: 'Start one: holdfast agent --config /etc/holdfast/agent.yaml',
  },
  'control.no-route': {
    retry: 'never',
    says: (d: { path: string }) => `the agent has no route ${d.path}`,
    remedy: 'Use a holdfast of the same version as the agent.',
  },
  'control.wrong-method': {
    retry: 'never',
    says: (d: { path: string; method: string }) => `${d.path} wants ${d.method}`,
    remedy: 'Use a holdfast of the same version as the agent.',
  },
  'control.read-only': {
    retry: 'never',
    says: (d: { path: string }) => `${d.path} is not served on the status socket`,
    remedy: 'Use control.sock; its group (sockets.group in agent.yaml) may open it.',
  },
  'control.bad-request': {
    retry: 'never',
    says: (d: { reason: string }) => `the request cannot be read: ${d.reason}`,
    remedy: 'Use a holdfast of the same version as the agent.',
  },
  'control.bad-answer': {
    retry: 'later',
    says: (d: { status: number }) =>
      `the agent gave an answer that cannot be read (HTTP ${d.status})`,
    remedy: "Use a holdfast of the same version as the agent; look at the agent's log.",
  },
  'control.not-confirmed': {
    retry: 'operator',
    says: (d: { what: string }) => `${d.what} was not confirmed; nothing was changed`,
    remedy: 'Answer yes at a terminal, or give -y in a script.',
  },
  'control.not-found': {
    retry: 'never',
    says: (d: { what: string }) => `there is no ${d.what} on this device`,
    remedy: 'See what there is: holdfast get deployments, get channels, get events -o wide.',
  },
  'control.wait-timeout': {
    retry: 'later',
    says: (d: { what: string; after: string; reason: string }) =>
      `not ${d.what} after ${d.after}: ${d.reason}`,
    remedy: 'Look with `holdfast explain`; `--timeout` waits longer.',
  },
  'control.wait-hopeless': {
    retry: 'operator',
    says: (d: { what: string; reason: string }) => `${d.what} will not come: ${d.reason}`,
    remedy: 'Look with `holdfast explain`, publish a corrected state, then wait for that one.',
  },
  'control.no-log': {
    retry: 'never',
    says: (d: { deployment: string; known: string }) =>
      `there is no log of ${d.deployment} (there are: ${d.known})`,
    remedy: 'Name a deployment with a program: holdfast logs DEPLOYMENT.',
  },
} as const;
