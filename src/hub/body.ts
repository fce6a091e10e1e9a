/** The body of a request, whole and capped. */

/** Null past the cap, or when the client went away. */
export async function wholeBody(
  body: AsyncIterable<Uint8Array>,
  cap: number,
): Promise<Uint8Array | null> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of body) {
      size += chunk.length;
      if (size > cap) return null;
      chunks.push(chunk);
    }
  } catch {
    return null;
  }
  return Buffer.concat(chunks);
}
