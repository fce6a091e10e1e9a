/** What a visitor of the demo sees. Colours only for a terminal that wants them. */
import colours from 'picocolors';

export interface Screen {
  heading(text: string, facts: readonly (readonly [name: string, text: string])[]): void;
  /** A chapter of the story, numbered. */
  step(title: string, why: string): void;
  command(line: string): void;
  /** One device, when all of its ticks are there. */
  row(name: string, ticks: readonly Tick[], aside?: string): void;
  note(text: string): void;
  /** Lines as they are. */
  verbatim(text: string): void;
  good(text: string): void;
  bad(text: string): void;
  /** ticks shown so far */
  ticks(): number;
}

/** Something that was read back from a device. */
export interface Tick {
  readonly what: string;
  /** ms since the step began to count; null: no time of its own */
  readonly ms: number | null;
}

const NAME = 9;
const MARGIN = '   ';
const GAP = '  ';

/** @param columns  width of the terminal */
export function screen(colour: boolean, columns: number, print: (text: string) => void): Screen {
  const paint = colours.createColors(colour);
  const textWidth = columns - MARGIN.length;
  let steps = 0;
  let ticks = 0;
  const tick = ({ what, ms }: Tick): Word => {
    const time = ms === null ? '' : ` (${duration(ms)})`;
    return { plain: `✓ ${what}${time}`, shown: `${paint.green('✓')} ${what}${paint.dim(time)}` };
  };
  const prose = (text: string, style: (text: string) => string) => {
    const words = text.split(' ').map((word) => ({ plain: word, shown: word }));
    for (const line of lines(words, ' ', textWidth)) print(`${MARGIN}${style(line)}\n`);
  };
  return {
    heading(text, facts) {
      print(`\n${paint.bold(text)}\n\n`);
      const width = Math.max(...facts.map(([name]) => name.length));
      for (const [name, fact] of facts) {
        print(`${MARGIN}${paint.dim(name.padEnd(width))}${GAP}${fact}\n`);
      }
    },
    step(title, why) {
      steps += 1;
      const number = `${steps}`.padEnd(MARGIN.length);
      print(`\n${paint.bold(paint.cyan(number))}${paint.bold(title)}\n`);
      prose(why, (line) => line);
    },
    command(line) {
      print(`${MARGIN}${paint.dim('$')} ${paint.yellow(line)}\n`);
    },
    row(name, marks, aside) {
      ticks += marks.length;
      const words = marks.map(tick);
      if (aside !== undefined) words.push({ plain: aside, shown: paint.dim(aside) });
      const [first = '', ...rest] = lines(words, GAP, textWidth - NAME);
      print(`${MARGIN}${paint.bold(name.padEnd(NAME))}${first}\n`);
      for (const line of rest) print(`${MARGIN}${' '.repeat(NAME)}${line}\n`);
    },
    note: (text) => prose(text, paint.dim),
    verbatim: (text) => print(`${text.replaceAll(/^/gm, MARGIN)}\n`),
    good: (text) => print(`\n${paint.green(text)}\n`),
    bad: (text) => print(`\n${paint.red(text)}\n`),
    ticks: () => ticks,
  };
}

/** Text, and the same with colours, which take no room. */
interface Word {
  readonly plain: string;
  readonly shown: string;
}

/** As many words on a line as fit; a word that is too long has one of its own. */
function lines(words: readonly Word[], gap: string, width: number): readonly string[] {
  const done: string[] = [];
  let line = '';
  let used = 0;
  for (const { plain, shown } of words) {
    const needed = used + gap.length + plain.length;
    if (used > 0 && needed <= width) {
      line += `${gap}${shown}`;
      used = needed;
      continue;
    }
    if (used > 0) done.push(line);
    line = shown;
    used = plain.length;
  }
  return used > 0 ? [...done, line] : done;
}

export function duration(ms: number): string {
  return ms < 1_000 ? `${Math.max(0, Math.round(ms))} ms` : `${(ms / 1_000).toFixed(1)} s`;
}

export function size(bytes: number): string {
  return bytes < 1_024 ? `${bytes} B` : `${(bytes / 1_024).toFixed(bytes < 10_240 ? 1 : 0)} KiB`;
}
