/** Everything from outside, in one record: what the simulator replaces as a whole. */
import type { Clock } from './clock.ts';
import type { Files } from './files.ts';
import type { Http } from './http.ts';
import type { Inflate } from './inflate.ts';
import type { Listener } from './listener.ts';
import type { Locks } from './locks.ts';
import type { Log } from './log.ts';
import type { Memory } from './memory.ts';
import type { Mqtt } from './mqtt.ts';
import type { MqttListener } from './mqtt-listener.ts';
import type { Processes } from './processes.ts';
import type { Random } from './random.ts';
import type { KeyFiles } from './signer.ts';
import type { ParseCertificates, Sockets } from './tls.ts';
import type { Tunnels } from './tunnel.ts';
import type { X509 } from './x509.ts';

export interface Platform {
  readonly clock: Clock;
  readonly random: Random;
  readonly files: Files;
  readonly locks: Locks;
  readonly processes: Processes;
  readonly http: Http;
  readonly sockets: Sockets;
  readonly tunnels: Tunnels;
  readonly certificates: ParseCertificates;
  readonly x509: X509;
  readonly mqtt: Mqtt;
  readonly mqttListener: MqttListener;
  readonly inflate: Inflate;
  readonly listener: Listener;
  readonly keyFiles: KeyFiles;
  readonly memory: Memory;
  readonly log: Log;
}
