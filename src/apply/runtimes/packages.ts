/**
 * What a runtime may ask the owner's registries for before anything of a change is visible: images of
 * containers, packages of Margo components. Everything comes by digest; a tag is looked up once and
 * remembered for ever (store/package-pins.ts), and one that moved is refused. The agent brings the
 * implementation (agent/packages.ts): runtimes never open a connection of their own.
 */
import type { Result } from '#errors/fault.ts';
import type { Allow } from '#plan/allow.ts';
import type { Digest } from '#state/digest.ts';

/** Where in which registry. */
export interface PackagePlace {
  /** host[:port] */
  readonly host: string;
  readonly repository: string;
}

export interface PackageBlob {
  readonly digest: Digest;
  /** bytes, as a manifest that was checked says */
  readonly size: number;
}

export interface Packages {
  /**
   * The manifest that `tag` names there, as it was when this device first asked. Known and the
   * registry cannot be asked: the known one. `package.tag-moved`, `package.missing`
   * @param as  who asks: for it the first answer stands, and the registry is not asked again.
   *            Default: everybody, for whom a tag that moved is refused
   */
  pinned(place: PackagePlace, tag: string, as?: string): Promise<Result<Digest>>;
  /** Exact bytes, checked. */
  manifest(place: PackagePlace, digest: Digest): Promise<Result<Uint8Array>>;
  /** Into the content store, checked; what is there already is not fetched again. */
  fetch(place: PackagePlace, blobs: readonly PackageBlob[]): Promise<Result<void>>;
  /** images by tag are refused */
  readonly requireDigests: boolean;
  /** what the owner lets the channel do */
  readonly allow: Allow;
  readonly signal: AbortSignal;
}
