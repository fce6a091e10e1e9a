/** A bar on stderr while something is fetched; nothing where stderr is no terminal. */
import { type Bar, Presets, SingleBar } from 'cli-progress';
import type { ProgressLine } from '#control/api.ts';
import type { Terminal } from '#platform/terminal.ts';
import { bytesText } from './render.ts';

type Progress = Extract<ProgressLine, { kind: 'progress' }>;

export interface ProgressBar {
  update(line: Progress): void;
  end(): void;
}

export function progressBar(terminal: Pick<Terminal, 'interactive'>): ProgressBar {
  let bar: Bar | null = null;
  let phase = '';
  return {
    update(line) {
      if (!terminal.interactive) return;
      if (!bar) {
        bar = new SingleBar(
          {
            format: '{bar} {percentage}% {what} {sizes}',
            hideCursor: true,
            barsize: 24,
            clearOnComplete: true,
          },
          Presets.shades_grey,
        );
        bar.start(Math.max(line.total, 1), 0, { what: '', sizes: '' });
      }
      if (line.phase !== phase) {
        phase = line.phase;
        bar.setTotal(Math.max(line.total, 1));
      }
      const sizes =
        line.phase === 'downloading' ? `${bytesText(line.done)}/${bytesText(line.total)}` : '';
      bar.update(line.done, { what: `${line.phase} ${line.what}`, sizes });
    },
    end: () => bar?.stop(),
  };
}
