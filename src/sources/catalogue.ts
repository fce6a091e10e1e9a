/** The kinds of source there are. A new one: a file beside this, a line here, the contract suite. */
import { mqttPush } from './mqtt-push.ts';
import { ociLayout } from './oci-layout.ts';
import { ociRegistry } from './oci-registry.ts';

export const SOURCES = {
  'mqtt-push': mqttPush,
  'oci-layout': ociLayout,
  'oci-registry': ociRegistry,
} as const;
