/** A fleet folder with two root keys, and the commands that change its root. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Desk, openDesk, type Ran } from '../../support/desk.ts';

export interface Shown {
  version: number;
  notAfter: string;
  timeReset: string | null;
  keys: { name: string; keyid: string; roles: string[] }[];
  roles: { name: string; threshold: number; keys: string[] }[];
  channels: { name: string; role: string; epoch: number }[];
  next: string;
}

export interface Diff {
  changes: { kind: string; what: string; name: string; detail: string }[];
  unfit: string | null;
  remarks: string[];
}

export interface Request {
  file: string;
  digest: string;
  complete: boolean;
  signatures: { version: number; threshold: number; signed: string[]; missing: string[] }[];
}

export interface RootDesk {
  readonly desk: Desk;
  at(path: string): string;
  bytesOf(path: string): Uint8Array;
  /** `holdfast root …` in the fleet folder */
  root(...args: string[]): Promise<Ran>;
  json<T>(...args: string[]): Promise<T>;
  diff(): Promise<Diff>;
  request(): Promise<Request>;
  signWith(file: string, key: string, ...more: string[]): Promise<Ran>;
  newKey(name: string, ...more: string[]): Promise<Ran>;
  /** Edit, request, sign with root-1, publish: the next root. */
  change(...edits: string[][]): Promise<void>;
}

export async function openRootDesk(): Promise<RootDesk> {
  const desk = openDesk();
  const two = ['--root-keys', '2', '--root-threshold', '1'];
  const made = await desk.run(['init', 'plant', '--no-passphrase', ...two]);
  if (made.code !== 0) throw new Error(made.err);
  const at = (path: string) => join(desk.folder, 'plant', path);
  const opened: RootDesk = {
    desk,
    at,
    bytesOf: (path) => new Uint8Array(readFileSync(at(path))),
    root: (...args) => desk.run(['root', ...args, '-C', 'plant']),
    json: (...args) => desk.json(['root', ...args, '-C', 'plant']),
    diff: () => desk.json(['root', 'diff', '-C', 'plant'], 1),
    request: () => opened.json('request'),
    signWith: (file, key, ...more) =>
      desk.run(['root', 'sign', file, '--key', `plant/keys/root/${key}.pem`, '-y', ...more]),
    newKey: (name, ...more) =>
      desk.run(['key', 'create', name, '--no-passphrase', '-C', 'plant', ...more]),
    async change(...edits) {
      const ran: Ran[] = [];
      for (const edit of edits) ran.push(await opened.root(...edit));
      const { file } = await opened.request();
      ran.push(await opened.signWith(`plant/${file}`, 'root-1'), await opened.root('publish'));
      const failed = ran.find(({ code }) => code !== 0);
      if (failed) throw new Error(`${failed.err}${failed.out}`);
    },
  };
  return opened;
}
