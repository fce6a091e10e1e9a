/** Runs a simulation off the microtask queue: it drains that queue itself (world/timeline.ts). */
export async function apart<T>(work: () => T): Promise<T> {
  await nextTurn();
  const result = await new Promise<T>((resolve, reject) => {
    setImmediate(() => {
      try {
        resolve(work());
      } catch (error) {
        reject(error);
      }
    });
  });
  await nextTurn();
  return result;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
