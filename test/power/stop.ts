/**
 * A long run that is asked to end (Ctrl-C, SIGTERM) finishes what is under way, takes its mounts and
 * machines away and tells what it has counted so far; asked twice it ends at once.
 */
export function stopOnSignal(): () => boolean {
  let asked = false;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      asked = true;
      console.error(`${signal}: ends after this one`);
    });
  }
  return () => asked;
}
