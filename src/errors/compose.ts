/** Faults with the prefix `compose.`: compose files, the container engine, and what runs in it. */
export const composeFaults = {
  'compose.engine-missing': {
    retry: 'later',
    says: (d: { tried: string }) => `no container engine answers (tried ${d.tried})`,
    remedy:
      'Install Podman (`systemctl enable --now podman.socket`) or Docker Engine, or name its socket: runtimes.compose.socket in agent.yaml. No compose program is needed. Other deployments go on.',
  },
  'compose.engine': {
    retry: 'later',
    says: (d: { what: string; status: number; reason: string }) =>
      `the container engine refused to ${d.what} (${d.status}): ${d.reason}`,
    remedy: 'Read the reason and the log of the engine; it is tried again, and undone if it fails.',
  },
  'compose.file': {
    retry: 'never',
    says: (d: { deployment: string; reason: string }) => `${d.deployment}: ${d.reason}`,
    remedy: 'Correct the compose file at the place named and publish it again.',
  },
  'compose.not-allowed': {
    retry: 'never',
    says: (d: { deployment: string; service: string; needs: string; allowed: string }) =>
      `${d.deployment}: service ${d.service} needs ${d.needs}, which this channel may not give (allowed: ${d.allowed})`,
    remedy:
      'Publish it without, or let channels[].allow.compose in agent.yaml name it (grants, or paths).',
  },
  'compose.image': {
    retry: 'never',
    says: (d: { deployment: string; image: string; reason: string }) =>
      `${d.deployment}: image ${d.image}: ${d.reason}`,
    remedy: 'Push an image for this device, or name one that is there, and publish again.',
  },
  'compose.not-fetched': {
    retry: 'later',
    says: (d: { deployment: string; what: string }) =>
      `${d.deployment}: ${d.what} is no longer on this device`,
    remedy: 'It is fetched again with the next try, as soon as its registry is reached.',
  },
  'compose.not-up': {
    retry: 'never',
    says: (d: { deployment: string; service: string; reason: string }) =>
      `${d.deployment}: service ${d.service}: ${d.reason}`,
    remedy: 'Look at its log (`podman logs`, `docker logs`), correct it and publish a new state.',
  },
} as const;
