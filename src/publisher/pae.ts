/**
 * What a signature is over, for tools that sign files: the PAE of a statement or root that waits, is
 * signed, or was only written so far. What it says comes with it: nobody should sign what he has not
 * read, and what no device would read is not worth a signature.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Files } from '#platform/files.ts';
import { sha256 } from '#state/digest.ts';
import type { Envelope } from '#state/envelope.ts';
import { LIMITS } from '#state/limits.ts';
import { MARGO_MEDIA } from '#state/margo.ts';
import { PAYLOAD } from '#state/media-types.ts';
import { pointText } from '#state/point.ts';
import { pae } from '#trust/dsse.ts';
import { namespaceOf } from '#trust/formats/catalogue.ts';
import { readEnvelope } from '#wire/envelope.ts';
import { readStatement } from '#wire/margo-statement.ts';
import { readRoot } from '#wire/root.ts';
import { openLayout } from './shelf.ts';
import { showShelf } from './verify.ts';

export interface ToSign {
  readonly bytes: Uint8Array;
  /** name and value, for people */
  readonly says: readonly (readonly [name: string, value: string])[];
}

export type PayloadKind = 'state' | 'root';

type Unsigned = Pick<Envelope, 'payloadType' | 'payload'>;

export const PAYLOAD_KINDS: readonly PayloadKind[] = ['state', 'root'];
const TYPES = { state: PAYLOAD.desiredState, root: PAYLOAD.root } as const;
const BRACE = 0x7b;

/**
 * @param path  absolute: a folder below signed/, the file of an envelope, or a bare payload
 * @param kind  what a bare payload is
 */
export async function toSign(
  files: Files,
  path: string,
  kind: PayloadKind,
): Promise<Result<ToSign>> {
  const unsigned = await readUnsigned(files, path, kind);
  if (!unsigned.ok) return unsigned;
  const { payloadType, payload } = unsigned.value;
  const says = describe(unsigned.value);
  if (!says.ok) return says;
  const common = [
    ['signed type', payloadType],
    ['namespace', namespaceOf(payloadType) ?? '–'],
    ['payload', sha256(payload)],
  ] as const;
  return ok({ bytes: pae(payloadType, payload), says: [...says.value, ...common] });
}

async function readUnsigned(
  files: Files,
  path: string,
  kind: PayloadKind,
): Promise<Result<Unsigned>> {
  const file = files.readFile(path, LIMITS.envelopeBytes);
  if (file.ok) {
    return file.value[0] === BRACE
      ? readEnvelope(file.value)
      : ok({ payloadType: TYPES[kind], payload: file.value });
  }
  if (file.fault.code !== 'platform.not-a-file') return file;
  const shelf = openLayout(files, path);
  if (!shelf.ok) return shelf;
  const shown = await showShelf(shelf.value);
  if (!shown.ok) return shown;
  const [only, ...others] = shown.value;
  if (only && others.length === 0) return ok(only.envelope);
  const reason = `it holds ${shown.value.length} states, not one`;
  return refuse('publish.bundle', { bundle: path, reason });
}

function describe({ payloadType, payload }: Unsigned): Result<ToSign['says']> {
  if (payloadType === PAYLOAD.root) {
    const root = readRoot(payload);
    if (!root.ok) return root;
    const roles = root.value.roles.map(
      ({ name, threshold, keyids }) => `${name} ${threshold} of ${keyids.length}`,
    );
    return ok([
      ['root', `version ${root.value.version}`],
      ['fleet', root.value.fleet],
      ['roles', roles.join(', ')],
    ]);
  }
  if (payloadType !== PAYLOAD.desiredState && payloadType !== MARGO_MEDIA.manifest) {
    const wanted = `${PAYLOAD.desiredState} or ${PAYLOAD.root}`;
    return refuse('trust.payload-type', { got: JSON.stringify(payloadType), wanted });
  }
  const state = readStatement({ payloadType, payload });
  if (!state.ok) return state;
  const { channel, point, fleet, deployments, audience } = state.value;
  return ok([
    ['state', `${channel} ${pointText(point)}`],
    ['fleet', fleet],
    ['audience', JSON.stringify(audience)],
    ['deployments', deployments.map(({ id }) => id).join(', ')],
  ]);
}
