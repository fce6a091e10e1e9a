/** The kinds of health check. A new one: a file beside this, a line here. */
import { accountOf, type RunRules } from '#apply/accounts.ts';
import type { Condition } from '#apply/runtimes/runtime.ts';
import type { Clock } from '#platform/clock.ts';
import type { Http } from '#platform/http.ts';
import type { Processes } from '#platform/processes.ts';
import type { Sockets } from '#platform/tls.ts';
import { COMPOSE_PROFILE } from '#state/compose.ts';
import type { Probe } from '#state/deployment.ts';
import type { Generation } from '#state/generation.ts';
import { aliveProbe } from './alive.ts';
import { containersProbe } from './containers.ts';
import { execProbe } from './exec.ts';
import { httpProbe } from './http.ts';
import type { ProbeRunner } from './probe.ts';
import { tcpProbe } from './tcp.ts';

export interface ProbeTools {
  readonly clock: Clock;
  readonly http: Http;
  readonly sockets: Sockets;
  readonly processes: Processes;
  readonly users: RunRules;
  conditionOf(generation: Generation): Condition;
}

export function probeRunner(tools: ProbeTools, of: Generation, probe: Probe): ProbeRunner {
  const { clock, http, sockets, processes, users } = tools;
  switch (probe.kind) {
    case 'alive':
      return hasContainers(of)
        ? containersProbe(clock, tools.conditionOf)
        : aliveProbe(clock, tools.conditionOf, aliveForMs(of));
    case 'exec':
      return execProbe(processes, probe.command, ({ id }) =>
        accountOf(processes, users, { deployment: id, component: 'check', user: userOf(of) }),
      );
    case 'tcp':
      return tcpProbe(sockets, probe.host, probe.port);
    case 'http':
      return httpProbe(http, clock, probe);
  }
}

/** The longest of the programs': all of them have to live. */
export function aliveForMs({ deployment: { profile } }: Generation): number {
  if (profile.kind !== 'process') return 0;
  return Math.max(0, ...profile.components.map((component) => component.aliveForMs));
}

export function hasContainers({ deployment: { profile } }: Generation): boolean {
  return profile.kind === 'other' && profile.type === COMPOSE_PROFILE;
}

/** Checks of a deployment run as its first program does. */
function userOf({ deployment: { profile } }: Generation): string | null {
  return profile.kind === 'process' ? (profile.components[0]?.user ?? null) : null;
}
