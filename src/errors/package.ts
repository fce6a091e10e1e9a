/** Faults with the prefix `package.`: images and packages that are named by registry, not by statement. */
export const packageFaults = {
  'package.name': {
    retry: 'never',
    says: (d: { deployment: string; name: string }) =>
      `${d.deployment} names ${d.name}, which is no image and no package of a registry`,
    remedy: 'Name it as host/repository:tag or host/repository@sha256:…, in lower case.',
  },
  'package.registry-refused': {
    retry: 'operator',
    says: (d: { host: string; repository: string; allowed: string }) =>
      `registry ${d.host} (for ${d.repository}) is none that this device may ask (${d.allowed})`,
    remedy:
      'Name it in agent.yaml: `packages: { registries: [{ url: https://HOST }] }`, or take the content from one that is named.',
  },
  'package.credential': {
    retry: 'later',
    says: (d: { registry: string; name: string; reason: string }) =>
      `registry ${d.registry} is asked with the value ${d.name} of this device: ${d.reason}`,
    remedy:
      'Write it into channels/device.ID (sealed: `holdfast seal`) and publish device.ID, or correct packages.registries[].auth in agent.yaml.',
  },
  'package.missing': {
    retry: 'later',
    says: (d: { name: string }) => `${d.name} is not in its registry`,
    remedy: 'Push it there; it is asked for again with the next try, and what runs stays.',
  },
  'package.tag-moved': {
    retry: 'never',
    says: (d: { name: string; known: string; found: string }) =>
      `${d.name} is ${d.found} now, and was ${d.known} when this device first took it`,
    remedy: 'Publish other content under another revision: what a revision means never changes.',
  },
  'package.format': {
    retry: 'never',
    says: (d: { name: string; reason: string }) => `${d.name}: ${d.reason}`,
    remedy:
      'Make the package again: one image manifest with the type of its kind, one layer, one top folder.',
  },
  'package.unpinned': {
    retry: 'never',
    says: (d: { deployment: string; name: string }) =>
      `${d.deployment} names ${d.name} by a tag, and this device takes digests only`,
    remedy: 'Write name@sha256:… instead, or set packages.requireDigests to false in agent.yaml.',
  },
} as const;
