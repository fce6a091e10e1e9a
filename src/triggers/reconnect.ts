/**
 * Wakes whenever the link to the broker comes up: nudges sent while it was down may be lost
 * (DESIGN section 8: poll on every connect). The link's own backoff bounds how often.
 */
import type { MqttLink } from '#link/mqtt.ts';
import type { Trigger } from './trigger.ts';

export function reconnect(link: Pick<MqttLink, 'listen'>): Trigger {
  return {
    name: 'reconnect',
    start: (wake) =>
      link.listen((event) => {
        if (event.kind === 'up') wake({ kind: 'reconnect' });
      }),
  };
}
