/** The terminal by standard input, output and error. */
import { createInterface } from 'node:readline';
import type { Terminal } from '#platform/terminal.ts';
import { writeAll } from './log.ts';

const COLUMNS_DEFAULT = 80;
const SECRET_MAX = 4_096;
/** return and line feed; ^C and ^D */
const ENDS = new Map([
  ['\r', 'answer'],
  ['\n', 'answer'],
  ['\u0003', 'nothing'],
  ['\u0004', 'nothing'],
]);

export function systemTerminal(env: Readonly<Record<string, string | undefined>>): Terminal {
  const interactive = process.stdin.isTTY === true && process.stdout.isTTY === true;
  // A reader that went away (`| head`) ends the output, not the command.
  let readerIsThere = true;
  return {
    interactive,
    colour: process.stdout.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb',
    get columns() {
      return process.stdout.columns || COLUMNS_DEFAULT;
    },
    out(text) {
      if (readerIsThere) readerIsThere = writeAll(1, text);
    },
    outBytes: (bytes) => process.stdout.isTTY !== true && writeAll(1, bytes),
    err: (text) => void writeAll(2, text),
    input: readInput,
    ask: (question) => (interactive ? askLine(question) : Promise.resolve(null)),
    askSecret: (question) => (interactive ? askHidden(question) : Promise.resolve(null)),
  };
}

async function readInput(cap: number): Promise<Uint8Array | null> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of process.stdin) {
    const bytes = Buffer.from(part);
    size += bytes.length;
    if (size > cap) return null;
    parts.push(bytes);
  }
  return new Uint8Array(Buffer.concat(parts));
}

function askLine(question: string): Promise<string | null> {
  return new Promise((resolve) => {
    const lines = createInterface({ input: process.stdin, output: process.stderr });
    let answer: string | null = null;
    lines.question(question, (line) => {
      answer = line;
      lines.close();
    });
    lines.once('SIGINT', () => lines.close());
    lines.once('close', () => {
      process.stdin.pause();
      resolve(answer);
    });
  });
}

/** In raw mode the terminal echoes nothing; ^C and ^D give up, ^U and backspace edit. */
function askHidden(question: string): Promise<string | null> {
  const { stdin } = process;
  return new Promise((resolve) => {
    let typed = '';
    const finish = (answer: string | null): void => {
      stdin.off('data', take);
      stdin.setRawMode(false);
      stdin.pause();
      writeAll(2, '\n');
      resolve(answer);
    };
    const take = (chunk: Buffer): void => {
      for (const character of chunk.toString('utf8')) {
        const ended = ENDS.get(character);
        if (ended !== undefined) {
          finish(ended === 'answer' ? typed : null);
          return;
        }
        if (character === '\u007f' || character === '\b') typed = [...typed].slice(0, -1).join('');
        else if (character === '\u0015') typed = '';
        else if (character >= ' ' && typed.length < SECRET_MAX) typed += character;
      }
    };
    // The question last: what is typed as soon as it shows must not be echoed any more.
    stdin.setRawMode(true);
    stdin.on('data', take);
    stdin.resume();
    writeAll(2, question);
  });
}
