/** What every parser of outside bytes promises, whatever the bytes: what targets hold their answers to. */
import { FAULTS, type Fault, type Result } from '#errors/fault.ts';
import { hasControl } from '#wire/text.ts';

const MESSAGE_MAX = 4_096;

/** Breaks the run: a promise was not kept. */
export function promise(kept: boolean, what: string): asserts kept {
  if (!kept) throw new Error(`promise broken: ${what}`);
}

/** The answer of a result: `ok`, or the refusal without what varies in it. */
export function answerOf(result: Result<unknown>): string {
  return result.ok ? 'ok' : answerOfFault(result.fault);
}

export function answerOfFault({ code, message }: Fault): string {
  promise(code in FAULTS, `a known code, not ${code}`);
  promise(message.length <= MESSAGE_MAX, `a message of ${message.length} characters`);
  promise(!hasControl(message.replaceAll('\n', '')), `no controls in: ${JSON.stringify(message)}`);
  return `${code} ${message.replace(/"[^"]*"/g, '"').replace(/[0-9a-f]*\d[0-9a-f]*/g, '0')}`.slice(
    0,
    120,
  );
}

/** What was read is the same after it was written and read again. */
export function comesBack<T>(
  input: Uint8Array,
  read: (bytes: Uint8Array) => Result<T>,
  write: (value: T) => Uint8Array,
): string {
  const result = read(input);
  if (!result.ok) return answerOf(result);
  const again = read(write(result.value));
  promise(again.ok, `readable again: ${answerOf(again)}`);
  promise(Bun.deepEquals(again.value, result.value, true), 'the same after writing and reading');
  return 'ok';
}
