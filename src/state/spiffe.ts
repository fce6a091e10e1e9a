/**
 * Names of Margo's identities (MARGO.md section 9): `spiffe://DOMAIN/margo/wfm/ID` for a manager, with
 * `/client/ID` for a client of it. Compared exactly, letter case included.
 * @see SPIFFE-ID section 2: trust domain in lower case, path segments of letters, digits, "._-"
 */

export interface MargoName {
  readonly domain: string;
  readonly wfm: string;
  /** null: it is a manager */
  readonly client: string | null;
}

const NAME_MAX = 2_048;
const NAME =
  /^spiffe:\/\/([a-z0-9._-]{1,255})\/margo\/wfm\/([A-Za-z0-9._-]+)(?:\/client\/([A-Za-z0-9._-]+))?$/;

/** Null: another form, or a segment that is a way up. */
export function readMargoName(uri: string): MargoName | null {
  const [, domain, wfm, client = null] = (uri.length <= NAME_MAX && NAME.exec(uri)) || [];
  if (domain === undefined || wfm === undefined) return null;
  const ways = [wfm, client].some((part) => part === '.' || part === '..');
  return ways ? null : { domain, wfm, client };
}

export function wfmName({ domain, wfm }: MargoName): string {
  return `spiffe://${domain}/margo/wfm/${wfm}`;
}

export function clientName(name: MargoName & { readonly client: string }): string {
  return `${wfmName(name)}/client/${name.client}`;
}
