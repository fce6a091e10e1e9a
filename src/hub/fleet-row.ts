/**
 * What the fleet page shows of one device: a row made of its verified status, and the detail of it.
 * Every text comes from a device, so it is cut and stripped of what could change how others are
 * read; the page shows it as text, never as markup. Pure.
 */
import { FAULTS } from '#errors/fault.ts';
import { pointText } from '#state/point.ts';
import type { ChannelStatus, DeploymentStatus, Status, StatusPoint } from '#state/status.ts';
import { deviceOfChannel } from '#state/values.ts';

/** From what concerns a person most to what does not. */
export const CONDITIONS = [
  'trouble',
  'unproven',
  'waiting',
  'changing',
  'silent',
  'settled',
] as const;
export type Condition = (typeof CONDITIONS)[number];

export interface ChannelCell {
  readonly channel: string;
  /** `1.57`; empty: none */
  readonly desired: string;
  readonly applied: string;
  readonly phase: string;
  readonly via: string;
  readonly freshness: string;
  readonly degraded: boolean;
  readonly held: boolean;
}

export interface Summary {
  readonly condition: Condition;
  readonly fleet: string;
  /** Unix ms by the device's own clock */
  readonly at: number;
  readonly agent: string;
  readonly labels: string;
  readonly channels: readonly ChannelCell[];
  /** channels beyond those */
  readonly moreChannels: number;
  readonly deployments: number;
  readonly ill: number;
  /** why it is not settled; empty: it is */
  readonly reason: string;
  readonly cure: string;
}

export interface Detail {
  readonly key: string;
  readonly rootVersion: string;
  readonly timeGrade: string;
  readonly report: string;
  readonly auditHead: string;
  readonly labels: readonly { readonly name: string; readonly value: string }[];
  readonly channels: readonly {
    readonly channel: string;
    readonly refused: { readonly code: string; readonly message: string; readonly cure: string };
    readonly waitingFor: { readonly code: string; readonly cure: string };
    readonly desired: string;
    readonly applied: string;
    readonly stateDigest: string;
    readonly deployments: readonly DeploymentCell[];
  }[];
  readonly events: readonly {
    readonly at: number;
    readonly code: string;
    readonly channel: string;
    readonly message: string;
  }[];
}

interface DeploymentCell {
  readonly id: string;
  readonly health: string;
  readonly code: string;
  readonly message: string;
  readonly restarts: number;
}

const CHANNELS_MAX = 4;
const LABELS_MAX = 12;
const LABEL_CHARS = 48;
const REASON_CHARS = 240;
const DETAIL_ROWS_MAX = 500;
const EVENTS_MAX = 50;

export function summaryOf(status: Status): Summary {
  const troubled = status.channels.map(troubleOf).find((found) => found !== null);
  const waits = status.channels.map(waitOf).find((found) => found !== null);
  const moving = status.channels.some(({ phase }) => MOVING.has(phase));
  const deployments = status.channels.flatMap((channel) => channel.deployments);
  const reason = troubled ?? waits ?? { reason: '', cure: '' };
  const labels = Object.entries(status.labels)
    .slice(0, LABELS_MAX)
    .map(([name, value]) => `${shown(name, LABEL_CHARS)}=${shown(value, LABEL_CHARS)}`);
  return {
    condition: troubled ? 'trouble' : waits ? 'waiting' : moving ? 'changing' : 'settled',
    fleet: status.fleet,
    at: status.at,
    agent: shown(status.agentVersion, LABEL_CHARS),
    labels: labels.join(' '),
    channels: status.channels.slice(0, CHANNELS_MAX).map(cellOf),
    moreChannels: Math.max(0, status.channels.length - CHANNELS_MAX),
    deployments: deployments.length,
    ill: deployments.filter(isIll).length,
    ...reason,
  };
}

export function detailOf(status: Status, keyid: string): Detail {
  let left = DETAIL_ROWS_MAX;
  return {
    key: `sha256:${keyid}`,
    rootVersion: `${status.rootVersion}`,
    timeGrade: status.timeGrade,
    report: `${status.boot}.${status.report}`,
    auditHead: status.auditHead ?? '',
    labels: Object.entries(status.labels)
      .slice(0, EVENTS_MAX)
      .map(([name, value]) => ({ name: shown(name, 128), value: shown(value, 128) })),
    channels: status.channels.map((channel) => {
      const deployments = [...channel.deployments]
        .sort((a, b) => Number(isIll(b)) - Number(isIll(a)))
        .slice(0, left);
      left -= deployments.length;
      const { refused } = channel;
      const code = shown(refused?.code ?? '', 64);
      const waits = shown(channel.waitingFor, 64);
      return {
        channel: shown(channel.channel, 64),
        refused: { code, message: shown(refused?.message ?? '', 512), cure: cureOf(code) },
        waitingFor: { code: waits, cure: cureOf(waits) },
        desired: textOf(channel.desired),
        applied: textOf(channel.applied),
        stateDigest: channel.applied?.stateDigest ?? '',
        deployments: deployments.map(({ id, health, code, message, restarts }) => ({
          id: shown(id, 128),
          health: shown(health, 32),
          code: shown(code, 64),
          message: shown(message, 512),
          restarts,
        })),
      };
    }),
    events: status.events.slice(-EVENTS_MAX).map(({ at, code, channel, message }) => ({
      at,
      code: shown(code, 64),
      channel: shown(channel, 64),
      message: shown(message, 512),
    })),
  };
}

/** Control and format characters (bidirectional ones among them) would reorder what stands around. */
export function shown(text: string, charsMax: number): string {
  const clean = text.toWellFormed().replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '\uFFFD');
  const chars = [...clean.slice(0, charsMax * 2)];
  return chars.length > charsMax ? `${chars.slice(0, charsMax - 1).join('')}…` : chars.join('');
}

interface Reason {
  readonly reason: string;
  readonly cure: string;
}

const MOVING: ReadonlySet<string> = new Set(['preparing', 'activating', 'proving', 'undoing']);

function troubleOf(channel: ChannelStatus): Reason | null {
  const { refused, deployments, phase, degraded } = channel;
  const ill = deployments.find(isIll);
  const on = shown(channel.channel, 64);
  if (ill) {
    const what = ill.message === '' ? ill.code : ill.message;
    return told(`${on}: ${ill.id} is ${ill.health}${what === '' ? '' : `: ${what}`}`, ill.code);
  }
  if (refused) {
    const attack = refused.attack ? 'attack: ' : '';
    return told(`${on}: ${attack}refused ${refused.code}: ${refused.message}`, refused.code);
  }
  if (phase === 'stuck') return told(`${on}: stuck: undoing fails`, '');
  if (phase === 'safe-mode')
    return told(`${on}: safe mode after repeated crashes`, 'agent.safe-mode');
  return degraded ? told(`${on}: degraded`, '') : null;
}

function waitOf(channel: ChannelStatus): Reason | null {
  const { waitingFor, phase, heldByOperator, applied } = channel;
  const on = shown(channel.channel, 64);
  if (waitingFor !== '') return told(`${on}: waits: ${waitingFor}`, waitingFor);
  if (heldByOperator) return told(`${on}: held by the operator`, 'agent.held');
  if (phase === 'waiting') return told(`${on}: waits`, '');
  // Values of its own are brought where a device needs some: most have none.
  const needed = deviceOfChannel(channel.channel) === null;
  const none = applied === null && phase === 'idle' && needed;
  return none ? told(`${on}: nothing applied yet`, '') : null;
}

function told(reason: string, code: string): Reason {
  return { reason: shown(reason, REASON_CHARS), cure: cureOf(code) };
}

/** What to do about it, from this hub's own tables: never the device's words. */
function cureOf(code: string): string {
  return Object.hasOwn(FAULTS, code) ? FAULTS[code as keyof typeof FAULTS].remedy : '';
}

function isIll({ health }: DeploymentStatus): boolean {
  return health === 'unhealthy' || health === 'stopped';
}

function cellOf(channel: ChannelStatus): ChannelCell {
  return {
    channel: shown(channel.channel, 64),
    desired: textOf(channel.desired),
    applied: textOf(channel.applied),
    phase: channel.phase,
    via: channel.via ?? '',
    freshness: channel.freshness,
    degraded: channel.degraded,
    held: channel.heldByOperator,
  };
}

function textOf(point: StatusPoint | null): string {
  return point ? pointText(point) : '';
}
