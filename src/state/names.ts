/** Names that appear on the wire, in paths and topics (FORMATS: Words). */

const ID = /^[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?$/;
const DEVICE_ID_MAX = 56;

/** Channel and deployment ids. */
export function isId(text: string): boolean {
  return ID.test(text);
}

export function isDeviceId(text: string): boolean {
  return ID.test(text) && text.length <= DEVICE_ID_MAX;
}

/** The random 128 bits that name a fleet, as 32 hex digits. */
export type Fleet = string;

export function isFleet(text: string): boolean {
  return /^[0-9a-f]{32}$/.test(text);
}
