/** The bytes that a DSSE signature is made over, against the protocol's own example. */
import { expect, test } from 'bun:test';
import { pae } from '#trust/dsse.ts';
import { verifyEd25519 } from '#trust/ed25519.ts';
import { readEnvelope } from '#wire/envelope.ts';
import { hex, vectorJson } from './vectors.ts';

interface Vector {
  pae: string;
  ed25519: { public: string; envelope: object };
}

const encoder = new TextEncoder();
const vector = vectorJson<Vector>('rfc/dsse.json');

if (vector) {
  test('the protocol’s example encodes as printed, and a foreign envelope verifies', () => {
    const type = 'http://example.com/HelloWorld';
    const bytes = pae(type, encoder.encode('hello world'));
    expect(new TextDecoder().decode(bytes)).toBe(vector.pae);
    const envelope = readEnvelope(encoder.encode(JSON.stringify(vector.ed25519.envelope)));
    if (!envelope.ok) throw new Error(envelope.fault.message);
    const sig = envelope.value.signatures[0]?.sig ?? new Uint8Array();
    expect(verifyEd25519(hex(vector.ed25519.public), bytes, sig)).toBe(true);
  });
} else test.skip('DSSE example: the vectors are not here (HOLDFAST_VECTORS)', () => {});

test('lengths count bytes, not characters', () => {
  const text = new TextDecoder().decode(pae('é', encoder.encode('ü!')));
  expect(text).toBe('DSSEv1 2 é 3 ü!');
});
