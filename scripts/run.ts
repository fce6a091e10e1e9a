/** Runs a program to its end; what it said comes back, or as the error when it failed. */
export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** @param options.mayFail  return a code above 0 instead of throwing */
export async function run(
  command: readonly string[],
  options: { cwd?: string; env?: Record<string, string>; mayFail?: boolean } = {},
): Promise<Ran> {
  const child = Bun.spawn([...command], {
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
    env: { ...process.env, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code !== 0 && options.mayFail !== true) {
    throw new Error(`${command.join(' ')}\nended with ${code}\n${stdout}${stderr}`);
  }
  return { code, stdout, stderr };
}

/** Whether a program of this name can be found. */
export function has(program: string): boolean {
  return Bun.which(program, { PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin` }) !== null;
}
