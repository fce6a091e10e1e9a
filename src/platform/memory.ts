/** Memory that the runtime holds for speed alone. */
export interface Memory {
  /** Gives it back: compiled code goes, and is made again when it next runs. */
  release(): void;
}
