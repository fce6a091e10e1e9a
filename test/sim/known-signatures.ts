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

/** X25519: the public half of a device's sealing key, made anew at each start */
const HALVES = 'publicKey: nacl.box.keyPair.fromSecretKey(secret).publicKey';
const halves = new Map<string, Uint8Array>();

interface Slot {
  holdfastKnownHalf?: (secret: Uint8Array, make: () => Uint8Array) => Uint8Array;
  holdfastKnownSignature?: (parts: readonly Uint8Array[], verifyForReal: () => boolean) => boolean;
}

export const counts = { real: 0, remembered: 0 };
let forReal = false;

/** @param real  the next verifications are real ones */
export function verifyForReal(real: boolean): void {
  forReal = real;
}

function replaced(path: string, what: string, by: string): string {
  const [before, after, ...more] = readFileSync(path, 'utf8').split(what);
  if (before === undefined || after === undefined || more.length > 0) {
    throw new Error(`${path} does not hold once: ${what}`);
  }
  return before + by + after;
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
  (globalThis as Slot).holdfastKnownHalf = (secret, make) => {
    const name = Buffer.from(secret).toString('hex');
    const before = forReal ? undefined : halves.get(name);
    if (before) return before.slice();
    const half = make();
    if (halves.size >= REMEMBERED_MAX) halves.clear();
    halves.set(name, half);
    return half.slice();
  };
  plugin({
    name: 'known signatures',
    setup(build) {
      build.onLoad({ filter: /\/src\/trust\/ed25519\.ts$/ }, ({ path }) => {
        const call = CALL.slice('return '.length, -1);
        const wrapped = `return (globalThis as any).holdfastKnownSignature([key, message, signature], () => ${call});`;
        return { contents: replaced(path, CALL, wrapped), loader: 'ts' };
      });
      build.onLoad({ filter: /\/src\/trust\/sealing-key\.ts$/ }, ({ path }) => {
        const call = HALVES.slice('publicKey: '.length);
        const wrapped = `publicKey: (globalThis as any).holdfastKnownHalf(secret, () => ${call})`;
        return { contents: replaced(path, HALVES, wrapped), loader: 'ts' };
      });
    },
  });
}

rememberSignatures();
