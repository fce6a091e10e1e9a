/**
 * The wall clock against what a registry says the time is (its Date header), for `holdfast doctor`.
 * Nobody signed that date and nothing is decided by it: it is a hint to a person whose device refuses
 * certificates or states for their dates.
 * @see RFC 9110 section 6.6.1
 */
import { readEndpoint } from '#link/endpoint.ts';
import type { HttpLink } from '#link/http.ts';
import { readHttpDate } from '#link/retry-after.ts';
import { durationText } from '#state/quantity.ts';
import { instantText } from '#trust/time.ts';
import type { RegistrySettings } from './config.ts';
import { type Finding, weak } from './finding.ts';

/** ms: no slow answer and no lazy NTP explains more */
const FAR_MS = 5 * 60_000;

export async function clockAgainst(
  http: HttpLink,
  settings: RegistrySettings,
): Promise<readonly Finding[]> {
  const endpoint = readEndpoint(settings);
  if (!endpoint.ok) return [];
  const { origin } = endpoint.value.access;
  const response = await http.send({
    ...{ method: 'GET', url: `${origin}/v2/`, access: endpoint.value.access },
    ...{ redirects: 'refuse', cap: 64 * 1024, what: 'the registry’s date' },
  });
  if (!response.ok) return [];
  response.value.cancel();
  const theirs = readHttpDate(response.value.headers.date);
  return theirs === null ? [] : judgeClock(http.platform.clock.wallMs(), theirs, origin);
}

export function judgeClock(ours: number, theirs: number, origin: string): readonly Finding[] {
  const apart = Math.abs(ours - theirs);
  if (apart < FAR_MS) return [];
  const how = ours > theirs ? 'ahead of' : 'behind';
  const message = `the clock says ${instantText(ours)}: ${durationText(Math.round(apart / 60_000) * 60_000)} ${how} what ${origin} says`;
  const remedy =
    'Set the clock, or give the device a time service; certificates and ends of states are judged by it.';
  return [weak('clock', message, remedy)];
}
