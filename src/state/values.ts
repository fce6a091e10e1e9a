/**
 * Values of one device, from its own channel `device.<id>`: a serial number, a password. A sealed
 * one is kept as it came and opened only when a program starts.
 */
import type { Digest } from './digest.ts';
import type { Fleet } from './names.ts';

const NAME = /^[A-Za-z_][A-Za-z0-9_.-]{0,63}$/;
const PREFIX = 'device.';

/** What `deviceValue` and a values document call a value. */
export function isValueName(text: string): boolean {
  return NAME.test(text);
}

/** The channel of one device. */
export function deviceChannel(device: string): string {
  return `${PREFIX}${device}`;
}

/** Whose channel it is; null: an ordinary one. */
export function deviceOfChannel(channel: string): string | null {
  return channel.startsWith(PREFIX) ? channel.slice(PREFIX.length) : null;
}

export type DeviceValue =
  | { readonly kind: 'plain'; readonly text: string }
  /** trust/sealed-value.ts has its bytes */
  | { readonly kind: 'sealed'; readonly box: Uint8Array };

/** What a box is bound to: moved to any other place it does not open. */
export interface SealedFor {
  readonly fleet: Fleet;
  readonly device: string;
  readonly channel: string;
  readonly name: string;
}

/** Where the sealed value of a parameter stands. Neither this nor `tag` says anything of its text. */
export interface SecretRef {
  /** state digest of the statement of the device's channel that brought it */
  readonly statement: Digest;
  /** of the value in there */
  readonly name: string;
  /** hex; equal for equal texts on this device, and keyed: nobody without its key can try texts */
  readonly tag: string;
}

/** What the values in force are to a plan: the text, or where it stands. */
export type KnownValue =
  | { readonly kind: 'plain'; readonly text: string }
  | ({ readonly kind: 'sealed' } & SecretRef);

export interface KnownValues {
  /** the channel they come in */
  readonly channel: string;
  /** why there are none at all; null: there are some */
  readonly absent: string | null;
  readonly byName: ReadonlyMap<string, KnownValue>;
}
