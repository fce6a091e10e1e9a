/** What `holdfast doctor` says of the credential that a hub gave this device; nothing where none did. */
import type { Platform } from '#platform/platform.ts';
import { instantText, type TimeView } from '#trust/time.ts';
import type { AgentConfig } from './config.ts';
import { enrolledPaths, readCredential, readEnrolled } from './enrolled.ts';
import { type Finding, good, weak, wrong } from './finding.ts';

const DAY_MS = 86_400_000;
/** the agent renews at two thirds; what is left of its life when that has failed for a while */
const LATE = 1 / 6;

export function credentialFindings(
  platform: Pick<Platform, 'files' | 'certificates'>,
  { stateDir }: Pick<AgentConfig, 'stateDir'>,
  time: TimeView,
): readonly Finding[] {
  const paths = enrolledPaths(stateDir);
  const directory = platform.files.open(paths.folder, { follow: true });
  if (!directory.ok) return [];
  const enrolled = readEnrolled(directory.value);
  const held = readCredential(platform, directory.value);
  directory.value.close();
  if (!enrolled.ok) return [wrong('credential', enrolled.fault)];
  if (!held.ok) return [wrong('credential', held.fault)];
  if (!enrolled.value) return [];
  const { hub } = enrolled.value;
  if (!held.value) {
    const message = `${hub} has not yet given this device its credential`;
    return [
      weak('credential', message, 'Let its operator approve, then run `holdfast enroll` again.'),
    ];
  }
  const { kind, issuedAt, notAfter } = held.value;
  const left = notAfter - time.estimateMs;
  const until = notAfter === 0 ? 'an unknown day' : instantText(notAfter);
  const about = `${kind} of ${hub}, until ${until}`;
  if (notAfter !== 0 && left <= 0) {
    const remedy =
      'A running agent renews it by the device key while the hub allows; else enroll again.';
    return [weak('credential', `${about}: it has ended`, remedy)];
  }
  if (notAfter !== 0 && left < (notAfter - (issuedAt || notAfter - 90 * DAY_MS)) * LATE) {
    const remedy =
      'See why the agent does not renew it (`holdfast events`), and that the hub answers.';
    return [weak('credential', `${about}: it ends soon and was not renewed`, remedy)];
  }
  return [good('credential', about)];
}
