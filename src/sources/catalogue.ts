/** The kinds of source there are. A new one: a file beside this, a line here, the contract suite. */
import { ociLayout } from './oci-layout.ts';
import { ociRegistry } from './oci-registry.ts';

export const SOURCES = {
  'oci-layout': ociLayout,
  'oci-registry': ociRegistry,
} as const;

export type SourceKind = keyof typeof SOURCES;
