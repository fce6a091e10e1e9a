/** Truth tables of `verifyStatement`: what is offered, to which device, and the verdict in words. */
import { describe, expect, test } from 'bun:test';
import type { Envelope } from '#state/envelope.ts';
import { type Offer, type Trusted, verifyStatement } from '#trust/verify.ts';
import { offer, trusted, verdictText } from './world.ts';

export type Row = readonly [
  title: string,
  envelope: Envelope | Uint8Array,
  verdict: string,
  device?: Partial<Trusted>,
  offered?: Partial<Offer>,
];

export function table(title: string, rows: readonly Row[]): void {
  describe(title, () => {
    for (const [what, envelope, verdict, device, offered] of rows) {
      test(`${what}: ${verdict}`, () => {
        const judged = verifyStatement(offer(envelope, offered), trusted(device));
        expect(verdictText(judged)).toBe(verdict);
      });
    }
  });
}
