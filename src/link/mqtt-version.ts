/**
 * Which MQTT version the next connection speaks (FORMATS: MQTT). `auto` tries 5 and, when the broker
 * refuses the version, 3.1.1, and remembers what worked. Brokers older than MQTT 5 may also close
 * the connection without an answer: after that the other version has its turn, until one works.
 */
import type { Fault } from '#errors/fault.ts';

export type MqttVersion = 5 | 4;

export interface Versions {
  /** 4 is 3.1.1 */
  current(): MqttVersion;
  worked(): void;
  /** True: the other version is to be tried at once, without a wait. */
  failed(why: Fault): boolean;
}

export function versions(protocol: 'auto' | '5' | '3.1.1'): Versions {
  let current: MqttVersion = protocol === '3.1.1' ? 4 : 5;
  let known = protocol !== 'auto';
  let refusedInTurn = 0;
  return {
    current: () => current,
    worked() {
      known = true;
      refusedInTurn = 0;
    },
    failed(why) {
      if (protocol === 'auto' && why.code === 'link.mqtt-protocol') {
        // A broker that refuses both is not asked in a circle: the second refusal waits.
        refusedInTurn += 1;
        current = other(current);
        known = false;
        return refusedInTurn % 2 === 1;
      }
      if (!known && why.code === 'link.cut') current = other(current);
      return false;
    },
  };
}

export function versionText(version: MqttVersion): '5' | '3.1.1' {
  return version === 5 ? '5' : '3.1.1';
}

function other(version: MqttVersion): MqttVersion {
  return version === 5 ? 4 : 5;
}
