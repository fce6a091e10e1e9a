/** A TCP port that accepts a connection. Nothing is sent. */
import type { Sockets } from '#platform/tls.ts';
import type { ProbeRunner } from './probe.ts';

export function tcpProbe(sockets: Sockets, host: string, port: number): ProbeRunner {
  return {
    kind: 'tcp',
    async run(_of, timeoutMs) {
      const connected = await sockets.connect({ kind: 'tcp', host, port }, timeoutMs);
      if (!connected.ok) return { healthy: false, reason: connected.fault.message };
      connected.value.close();
      return { healthy: true };
    },
  };
}
