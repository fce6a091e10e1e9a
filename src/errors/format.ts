/** Faults with the prefix `format.`: bytes that do not have the form they claim: JSON, protobuf, YAML, tar, OCI documents. */
export const formatFaults = {
  'format.json': {
    retry: 'never',
    says: (d: { what: string; reason: string }) => `${d.what} is not strict JSON: ${d.reason}`,
    remedy: 'Produce it again with `holdfast publish`; nothing was changed.',
  },
} as const;
