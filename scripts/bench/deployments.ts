/** What changes in a measurement. Each returns an edit of the channel's folder, one for each round. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { configText, type Desk } from './desk.ts';

type Edit = (round: number) => void;

/** One 4 KB file at one target, no checks. */
export function filesDeployment(desk: Desk, root: string): Edit {
  const component = { name: 'conf', properties: { blob: 'app.conf', target: `${root}/app.conf` } };
  desk.write('bench.yaml', document('bench', { type: 'files', components: [component] }));
  return () => desk.write('app.conf', configText());
}

/** The same with a health window of 1 s from its first round on. */
export function windowed(desk: Desk, edit: Edit): Edit {
  const fleet = join(desk.folder, 'fleet.yaml');
  const text = readFileSync(fleet, 'utf8').replace('healthWindow: 0s', 'healthWindow: 1s');
  return (round) => {
    writeFileSync(fleet, text);
    edit(round);
  };
}

/** A program that is replaced and restarted; alive (`aliveFor`) means 1 s. */
export function processDeployment(desk: Desk): Edit {
  const component = { name: 'program', properties: { blob: 'program' } };
  return (round) => {
    if (round === 0) {
      const fleet = join(desk.folder, 'fleet.yaml');
      const text = readFileSync(fleet, 'utf8').replace('healthWindow: 1s', 'healthWindow: 0s');
      writeFileSync(fleet, text);
      desk.write('bench.yaml', document('bench', { type: 'process', components: [component] }));
    }
    const text = `#!/bin/sh\n: <<'END'\n${configText()}END\nexec sleep 1000000\n`;
    desk.write('program', text, 0o755);
  };
}

function document(id: string, deploymentProfile: unknown): string {
  const spec = { deploymentProfile };
  return JSON.stringify({ apiVersion: 'holdfast/v1', kind: 'Deployment', id, spec });
}
