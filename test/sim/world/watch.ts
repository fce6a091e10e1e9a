/** From the world to the model: what is in force now, and what the device says of itself. */
import type { Status } from '#state/status.ts';
import { readEnvelopeMessage } from '#wire/envelope-message.ts';
import { readStatus } from '#wire/status.ts';
import type { Numbered, Told } from '../model/model.ts';
import { type Seen, seenOn } from '../model/seen.ts';
import type { World } from './shape.ts';

export function seenNow(world: World): Seen {
  const programs = [...world.processes.living.values()].map(({ behaviour, agent }) => ({
    version: behaviour.version,
    mayBeDown: behaviour.exitsAfterMs !== undefined,
    agent,
  }));
  return seenOn(world.disk.root, '/opt', programs);
}

/** By the control socket's own answer. Null: no agent, or it cannot say. */
export function toldNow(world: World): Told | null {
  const status = world.running?.handlers.status();
  if (!status?.ok) return null;
  const [channel] = status.value.channels;
  if (!channel) return null;
  const point = (of: typeof channel.desired): Numbered | null =>
    of && { epoch: BigInt(of.epoch), sequence: BigInt(of.sequence), digest: of.stateDigest };
  return {
    floor: point(channel.desired),
    applied: point(channel.applied),
    phase: channel.phase,
    waitingFor: channel.waitingFor?.code ?? null,
    held: channel.heldByOperator,
    paused: channel.paused,
    rootVersion: BigInt(status.value.device.rootVersion),
    boot: BigInt(status.value.device.boot),
  };
}

/** Statuses that came to the broker since the last call, in order. */
export function newReports(world: World, from: number): readonly Status[] {
  const found: Status[] = [];
  for (const { topic, payload } of world.broker.received.slice(from)) {
    if (!topic.endsWith('/status')) continue;
    const envelope = readEnvelopeMessage(payload);
    const status = envelope.ok ? readStatus(envelope.value.payload) : envelope;
    if (status.ok) found.push(status.value);
  }
  return found;
}

/** Digests of states that the device has rejected and remembers, whatever it says of them. */
export function rejectedNow({ running }: World): readonly string[] {
  const line = running?.assembled.lines[0];
  if (!running?.ready || !line) return [];
  const { fleet, channel } = line.follower;
  const rows = running.assembled.base.store.rejected(fleet, channel);
  return rows.ok ? rows.value.map(({ point }) => point.stateDigest) : [];
}
