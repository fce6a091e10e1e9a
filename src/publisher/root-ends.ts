/**
 * What of the root ends soon, told whenever somebody signs or publishes: an end that nobody saw coming
 * stops new states on every device at once. Two months are time to collect signatures of people who
 * are away, and for devices that look seldom. What has ended already stops the publisher by itself.
 */
import { type Fault, fault } from '#errors/fault.ts';
import type { Platform } from '#platform/platform.ts';
import { ROOT_ROLE } from '#trust/root-sound.ts';
import type { Fleet, FleetChannel } from './fleet.ts';
import { anchorsByName, certificateOf } from './root-anchors.ts';
import { keysByName } from './root-names.ts';
import { instantOrNever } from './root-time.ts';

const DAY_MS = 24 * 3_600_000;
export const SOON_MS = 60 * DAY_MS;

/** `publish.ends-soon`, the soonest first: the root, its keys, those that sign this channel, its CAs. */
export function endsSoon(
  platform: Pick<Platform, 'certificates'>,
  { root, time }: Pick<Fleet, 'root' | 'time'>,
  { role }: Pick<FleetChannel, 'role'>,
): readonly Fault[] {
  const rootRole = root.roles.find(({ name }) => name === ROOT_ROLE);
  const signing = new Set([...(rootRole?.keyids ?? []), ...role.keyids]);
  const keys = [...keysByName(root)].filter(([, { keyid }]) => signing.has(keyid));
  const cas = [...anchorsByName(root.tls)].map(([name, anchor]) => {
    const certificate = certificateOf(platform, anchor)?.notAfter ?? 0;
    const ends = [anchor.notAfter, certificate].filter((ms) => ms !== 0);
    return { what: `the CA ${name} of TLS`, notAfter: ends.length === 0 ? 0 : Math.min(...ends) };
  });
  return [
    { what: `root ${root.version}`, notAfter: root.notAfter },
    ...keys.map(([name, { notAfter }]) => ({ what: `the key ${name}`, notAfter })),
    ...cas,
  ]
    .filter(({ notAfter }) => notAfter > time.estimateMs && notAfter - time.estimateMs <= SOON_MS)
    .toSorted((a, b) => a.notAfter - b.notAfter)
    .map(({ what, notAfter }) => {
      const days = Math.floor((notAfter - time.estimateMs) / DAY_MS);
      return fault('publish.ends-soon', { what, notAfter: instantOrNever(notAfter), days });
    });
}
