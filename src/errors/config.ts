/** Faults with the prefix `config.`: agent.yaml, fleet.yaml, the command line. */
export const configFaults = {
  'config.invalid': {
    retry: 'operator',
    says: (d: { file: string; line: number; column: number; expected: string }) =>
      `${d.file}:${d.line}:${d.column}: ${d.expected}`,
    remedy: 'Correct the file at the place named.',
  },
} as const;
