/** Waits for a condition of a real part, without guessing how long it takes. */
const POLL_MS = 10;
/** long runs share their machine with others: HOLDFAST_PATIENCE=4 waits four times as long */
export const PATIENCE = Number(process.env.HOLDFAST_PATIENCE ?? 1);

/** @param what  what did not come true within `withinMs`, for the message */
export async function eventually<T>(
  what: string,
  condition: () => T | null | undefined | false | Promise<T | null | undefined | false>,
  withinMs = 15_000,
): Promise<T> {
  const end = Date.now() + withinMs * PATIENCE;
  for (;;) {
    const value = await condition();
    if (value !== null && value !== undefined && value !== false) return value;
    if (Date.now() > end) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
