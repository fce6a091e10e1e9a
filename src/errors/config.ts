/** Faults with the prefix `config.`: agent.yaml, fleet.yaml, the command line. */
export const configFaults = {
  'config.invalid': {
    retry: 'operator',
    says: (d: { file: string; line: number; column: number; expected: string }) =>
      `${d.file}:${d.line}:${d.column}: ${d.expected}`,
    remedy: 'Correct the file at the place named.',
  },
  'config.registry': {
    retry: 'operator',
    says: (d: { url: string; reason: string }) => `registry ${d.url}: ${d.reason}`,
    remedy:
      'Correct the registry in the configuration: https://HOST/REPOSITORY, proxy http://HOST:PORT.',
  },
  'config.secret': {
    retry: 'operator',
    says: (d: { file: string; reason: string }) => `the secret in ${d.file} ${d.reason}`,
    remedy: 'Write the secret alone, on one line, into the file that the configuration names.',
  },
  'config.key': {
    retry: 'operator',
    says: (d: { reason: string }) => `the key cannot be used: ${d.reason}`,
    remedy: 'Name a key made by `holdfast key`, with its passphrase (HOLDFAST_PASSPHRASE_FILE).',
  },
  'config.environment': {
    retry: 'operator',
    says: (d: { names: readonly string[] }) =>
      `the environment sets ${d.names.join(', ')}, which would change what this program does`,
    remedy: 'Unset the variables named and start again (systemd: UnsetEnvironment=).',
  },
  'config.ambient-capabilities': {
    retry: 'operator',
    says: (d: { uid: number }) =>
      `the agent, uid ${d.uid}, has ambient capabilities: programs it starts would inherit them`,
    remedy:
      'Give them to the file instead (setcap, docs/install.md), not with AmbientCapabilities=.',
  },
  'config.open-executable': {
    retry: 'operator',
    says: (d: { file: string }) =>
      `${d.file} has capabilities and everybody may run it, so everybody would have them`,
    remedy: 'Let only the agent run it: chown root:holdfast-agent, chmod 750, setcap again.',
  },
  'config.no-page': {
    retry: 'operator',
    says: (d: { name: string }) => `there is no man page ${d.name}`,
    remedy: 'See `holdfast --help` for the commands; `holdfast man --dir DIR` writes all pages.',
  },
  'config.unreadable': {
    retry: 'operator',
    says: (d: { file: string; reason: string }) => `${d.file} cannot be read: ${d.reason}`,
    remedy: 'Check that the file is there and that this user may read it.',
  },
  'config.margo': {
    retry: 'operator',
    says: (d: { file: string; named: boolean }) =>
      d.named
        ? `${d.file} follows the channel margo and names no Margo manager`
        : `${d.file} names a Margo manager and does not follow its channel`,
    remedy: 'Write the section `margo` and the channel `margo` together: docs/margo.md has both.',
  },
  'config.plain-transport': {
    retry: 'operator',
    says: (d: { file: string; url: string }) =>
      `${d.file}: ${d.url} is not encrypted and not on this machine`,
    remedy: 'Use https:// or mqtts://, or write `insecure: true` beside the url.',
  },
  'config.certificate': {
    retry: 'operator',
    says: (d: { reason: string }) => `the file of certificates cannot be used: ${d.reason}`,
    remedy: 'Let tls.ca name a PEM file with the certificates of the authorities to be trusted.',
  },
} as const;
