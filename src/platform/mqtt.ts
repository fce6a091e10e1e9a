/**
 * One MQTT connection, no reconnect of its own (`link/mqtt.ts` decides when). Incoming messages
 * above the byte cap end the connection with `link.mqtt-too-large` before they are buffered.
 */
import type { Result } from '#errors/fault.ts';
import type { Socket } from './tls.ts';

export interface Mqtt {
  connect(options: MqttOptions, socket: Socket): Promise<Result<MqttConnection>>;
}

export interface MqttOptions {
  readonly clientId: string;
  readonly version: 5 | 4;
  readonly username?: string;
  readonly password?: string;
  readonly keepaliveSeconds: number;
  readonly sessionExpirySeconds: number;
  readonly messageCap: number;
  readonly connectTimeoutMs: number;
  readonly will?: {
    readonly topic: string;
    readonly payload: Uint8Array;
    readonly retain: boolean;
  };
  onMessage(topic: string, payload: Uint8Array, retained: boolean): void;
  /** once, when the connection is gone; session-taken-over: another client has this id */
  onClosed(why: Result<void>): void;
}

export interface MqttConnection {
  /** the broker kept a session for this client */
  readonly sessionPresent: boolean;
  subscribe(topics: readonly string[]): Promise<Result<void>>;
  /** QoS 1: resolves at PUBACK. */
  publish(topic: string, payload: Uint8Array, retain: boolean): Promise<Result<void>>;
  /** DISCONNECT, then close. */
  end(): Promise<void>;
  /** Close without a word. */
  destroy(): void;
}
