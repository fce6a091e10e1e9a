/** Randomness from the operating system. */
export interface Random {
  bytes(count: number): Uint8Array;
  /** uniform in [0, 1) */
  unit(): number;
}
