/**
 * Ed25519 remembered by key, bytes and signature, in the simulator only: the same few statements are
 * verified millions of times. The product's checks around the primitive run each time, and every
 * hundredth run verifies for real. The module is changed on its way in; the product has no such seam.
 */
import { readFileSync } from 'node:fs';
import { plugin } from 'bun';

const CALL = 'return verify(null, message, keyObject(key), signature);';
const REMEMBERED_MAX = 200_000;
const known = new Map<string, boolean>();

interface Slot {
  holdfastKnownSignature?: (parts: readonly Uint8Array[], verifyForReal: () => boolean) => boolean;
}

export const counts = { real: 0, remembered: 0 };
let forReal = false;

/** @param real  the next verifications are real ones */
export function verifyForReal(real: boolean): void {
  forReal = real;
}

/** Preloaded: before anything imports trust/ed25519.ts. */
function rememberSignatures(): void {
  (globalThis as Slot).holdfastKnownSignature = (parts, verify) => {
    const name = parts.map((part) => Bun.hash(part).toString(36)).join('/');
    const before = forReal ? undefined : known.get(name);
    if (before !== undefined) {
      counts.remembered += 1;
      return before;
    }
    counts.real += 1;
    const good = verify();
    if (known.size >= REMEMBERED_MAX) known.clear();
    known.set(name, good);
    return good;
  };
  plugin({
    name: 'known signatures',
    setup(build) {
      build.onLoad({ filter: /\/src\/trust\/ed25519\.ts$/ }, ({ path }) => {
        const text = readFileSync(path, 'utf8');
        const [before, after, ...more] = text.split(CALL);
        if (before === undefined || after === undefined || more.length > 0) {
          throw new Error(`${path} does not hold once: ${CALL}`);
        }
        const call = CALL.slice('return '.length, -1);
        const wrapped = `return (globalThis as any).holdfastKnownSignature([key, message, signature], () => ${call});`;
        return { contents: before + wrapped + after, loader: 'ts' };
      });
    },
  });
}

rememberSignatures();
