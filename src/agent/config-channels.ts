/**
 * agent.yaml, `channels`: which channels this device follows, and what its owner lets each of them do
 * here. One list, since the bounds of one say nothing of another: what a channel may write, run and
 * use as a user is judged by its own entry alone (plan/allow.ts).
 */
import * as v from 'valibot';
import { RUNTIME_TYPES } from '#apply/runtimes/catalogue.ts';
import type { Allow } from '#plan/allow.ts';
import { COMPOSE_GRANTS } from '#state/compose.ts';
import { isId } from '#state/names.ts';
import { deviceOfChannel } from '#state/values.ts';

/** a device has a few owners, not a hundred: each costs a HEAD at every poll and its share of memory */
export const CHANNELS_MAX = 8;

export interface ChannelSettings {
  readonly name: string;
  readonly allow: Allow;
}

export const absolute = v.pipe(v.string(), v.regex(/^\/[^\0]*$/, 'an absolute path'));

const runtimeType = v.pipe(
  v.string(),
  v.check((type) => RUNTIME_TYPES.includes(type), `one of ${RUNTIME_TYPES.join(', ')}`),
);

export const channelsSchema = v.pipe(
  v.array(
    v.strictObject({
      name: v.pipe(
        v.string(),
        v.check(isId, 'a channel name: a-z 0-9 . -, at most 63 characters'),
        v.check(
          (name) => !isId(name) || deviceOfChannel(name) === null,
          'no device.ID: a device follows its own channel by itself',
        ),
      ),
      allow: v.optional(
        v.strictObject({
          roots: v.optional(v.array(absolute), ['/opt', '/srv']),
          runtimes: v.optional(v.array(runtimeType), ['files', 'process']),
          users: v.optional(v.array(v.string())),
          compose: v.optional(
            v.strictObject({
              grants: v.optional(
                v.array(v.picklist(COMPOSE_GRANTS, COMPOSE_GRANTS.join(', '))),
                [],
              ),
              paths: v.optional(v.array(absolute), []),
            }),
          ),
        }),
        {},
      ),
    }),
  ),
  v.minLength(1, 'at least one channel'),
  v.maxLength(CHANNELS_MAX, `at most ${CHANNELS_MAX} channels`),
  v.check(
    (channels) => new Set(channels.map(({ name }) => name)).size === channels.length,
    'each channel once',
  ),
);

/** @param defaultUser  what programs run as when neither document nor channel names a user */
export function channelSettings(
  read: v.InferOutput<typeof channelsSchema>,
  defaultUser: string | null,
): readonly ChannelSettings[] {
  return read.map(({ name, allow }) => ({
    name,
    allow: {
      roots: allow.roots,
      runtimes: allow.runtimes,
      users: allow.users ?? null,
      defaultUser,
      ...(allow.compose && { compose: allow.compose }),
    },
  }));
}

/** Every root that any of them may write below, each once. */
export function targetRoots(channels: readonly ChannelSettings[]): readonly string[] {
  return [...new Set(channels.flatMap(({ allow }) => allow.roots))];
}
