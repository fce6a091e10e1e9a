/** The person (or pipe) in front of a command. */
export interface Terminal {
  readonly interactive: boolean;
  /** colours wanted: a terminal, and neither NO_COLOR nor TERM=dumb */
  readonly colour: boolean;
  readonly columns: number;
  out(text: string): void;
  /** Exactly these bytes, for a file or pipe; false when they would go to a terminal: nothing went. */
  outBytes(bytes: Uint8Array): boolean;
  err(text: string): void;
  /** A line from the person; null when there is no terminal. */
  ask(question: string): Promise<string | null>;
  /** All of standard input, where it is a pipe or file; null: more than `cap` bytes. */
  input(cap: number): Promise<Uint8Array | null>;
  /** Without echo. */
  askSecret(question: string): Promise<string | null>;
}
