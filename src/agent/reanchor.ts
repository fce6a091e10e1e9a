/**
 * A root with other TLS anchors is held: whoever waits for a link that its certificate kept away
 * tries now instead of at the end of a backoff, and a session that none of the anchors vouches for
 * ends. Everything else reads the anchors at its next connection by itself.
 */
import type { MqttLink } from '#link/mqtt.ts';
import type { TlsTrust } from '#state/root.ts';
import type { Wake } from '#triggers/trigger.ts';

/**
 * @param trust  of the newest held root
 * @param waiting.asks  there are sources that are asked
 * @returns to be called when another root is held
 */
export function reanchor(
  trust: () => TlsTrust | null,
  waiting: { readonly mqtt: Pick<MqttLink, 'reanchor'> | null; readonly asks: boolean },
): (wake: (wake: Wake) => void) => void {
  let known = trust();
  return (wake) => {
    const now = trust();
    if (sameTrust(known, now)) return;
    known = now;
    waiting.mqtt?.reanchor();
    if (waiting.asks) wake({ kind: 'reconnect' });
  };
}

function sameTrust(a: TlsTrust | null, b: TlsTrust | null): boolean {
  if (a === null || b === null) return a === b;
  if (a.replacesConfigured !== b.replacesConfigured) return false;
  return (
    a.anchors.length === b.anchors.length &&
    a.anchors.every((anchor, index) => {
      const other = b.anchors[index];
      const same = other && Buffer.compare(anchor.certificate, other.certificate) === 0;
      return same && anchor.notAfter === other.notAfter;
    })
  );
}
