/**
 * One-time tokens. What is wrong with a token is told to its owner alone: whoever does not have its
 * secret learns nothing, not even whether there is such a token.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { EnrolmentRequest } from '#state/enrolment.ts';
import { readEnrolmentToken } from '#wire/enrolment.ts';
import type { TokenRecord } from './enrolment-records.ts';
import type { EnrolmentStore } from './enrolment-store.ts';
import { isSecretOf } from './nonces.ts';

/** Compared when there is no such token: it takes as long. */
const NOBODY = '0'.repeat(64);

export function judgeToken(
  store: Pick<EnrolmentStore, 'tokens'>,
  request: Pick<EnrolmentRequest, 'token' | 'deviceId' | 'labels'>,
  keyid: string,
  now: number,
): Result<TokenRecord> {
  const no = (reason: string): Result<TokenRecord> => refuse('enroll.refused', { reason });
  const token = readEnrolmentToken(request.token);
  if (!token.ok) return no('the token is unknown');
  const record = store.tokens.get(Buffer.from(token.value.id).toString('hex'));
  const proves = isSecretOf(token.value.secret, record?.secretHash ?? NOBODY);
  if (!record || !proves) return no('the token is unknown');
  if (record.expiresAt <= now) return no('the token has expired');
  if (record.usedBy !== '' && record.usedBy !== keyid) return no('the token was used already');
  if (!isNamed(record.device, request.deviceId)) {
    return no(`the token is for ${record.device}, not for ${request.deviceId}`);
  }
  for (const [key, value] of Object.entries(record.labels)) {
    if (request.labels[key] !== value) return no(`the token wants the label ${key}=${value}`);
  }
  return ok(record);
}

/** `press-*`: a star stands for anything. In time linear in the id. */
export function isNamed(pattern: string, id: string): boolean {
  const [first = '', ...rest] = pattern.split('*');
  if (rest.length === 0) return pattern === id;
  const last = rest.pop() ?? '';
  if (!id.startsWith(first) || id.length < first.length + last.length) return false;
  if (!id.endsWith(last)) return false;
  let at = first.length;
  for (const part of rest) {
    const found = id.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return at <= id.length - last.length;
}
