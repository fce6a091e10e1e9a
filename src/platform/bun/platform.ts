/** The real platform: node:* where Bun and Node agree, Bun's own HTTP client. */

import type { LogLevel } from '#platform/log.ts';
import { parseCertificates } from '#platform/node/certificates.ts';
import { systemClock } from '#platform/node/clock.ts';
import { systemFiles } from '#platform/node/files.ts';
import { systemInflate } from '#platform/node/inflate.ts';
import { systemKeyFiles } from '#platform/node/key-files.ts';
import { systemListener } from '#platform/node/listener.ts';
import { systemLog } from '#platform/node/log.ts';
import { mqttClient } from '#platform/node/mqtt.ts';
import { systemMqttListener } from '#platform/node/mqtt-listener.ts';
import { systemProcesses } from '#platform/node/processes.ts';
import { systemRandom } from '#platform/node/random.ts';
import { forgetProxies } from '#platform/node/self.ts';
import { systemSockets } from '#platform/node/sockets.ts';
import { nodeTunnels } from '#platform/node/tunnel.ts';
import { systemX509 } from '#platform/node/x509.ts';
import type { Platform } from '#platform/platform.ts';
import { bunHttp } from './http.ts';
import { sqliteLocks } from './sqlite-locks.ts';

export interface PlatformOptions {
  readonly logLevel: LogLevel;
  readonly logFormat: 'json' | 'human';
}

/** Also takes proxy variables out of this process's environment: configuration names the proxy. */
export function bunPlatform(options: PlatformOptions): Platform {
  forgetProxies();
  const clock = systemClock();
  return {
    clock,
    random: systemRandom(),
    files: systemFiles(),
    processes: systemProcesses(),
    http: bunHttp(),
    sockets: systemSockets(),
    tunnels: nodeTunnels(),
    certificates: parseCertificates,
    x509: systemX509(),
    mqtt: mqttClient(() => Bun.gc(true)),
    mqttListener: systemMqttListener(),
    inflate: systemInflate(),
    listener: systemListener(),
    keyFiles: systemKeyFiles(),
    memory: { release: () => Bun.shrink() },
    locks: sqliteLocks(),
    log: systemLog({ level: options.logLevel, format: options.logFormat, clock }),
  };
}
