/**
 * Deployments of a channel that shares its device with others: two files, a directory and a program
 * below a place of its own, and what reaches beyond it. Ids and texts name the place, not the channel:
 * `canary` and `stable` have one, so that what moves from one to the other is the same.
 */
import { systemInflate } from '#platform/node/inflate.ts';
import type { BlobRef, DeploymentRef } from '#state/desired-state.ts';
import { sha256 } from '#state/digest.ts';
import { MEDIA } from '#state/media-types.ts';
import { writeDocuments } from '#wire/documents.ts';
import { writeTar } from '#wire/tar.ts';
import type { Wanted } from '../model/wanted.ts';
import { programText } from '../world/processes.ts';

/** below /opt */
export type Place = 'machine' | 'line' | 'site';

export interface FieldChoice {
  readonly place: Place;
  /** of the two files: in no other state of the place, unless it is promoted */
  readonly number: number;
  readonly web: number | null;
  readonly program: number | null;
  /** the program is told the serial number of the device */
  readonly valued: boolean;
  /** of the two files */
  readonly check: 'healthy' | 'ill' | null;
  /** ms after which the program ends; null: it does not */
  readonly endsAfterMs: number | null;
  /** a file that two places want, or one where the channel may write nothing */
  readonly beyond: 'shared' | 'outside' | null;
}

export interface FieldCargo {
  readonly deployments: readonly DeploymentRef[];
  readonly blobs: readonly BlobRef[];
  readonly documents: Uint8Array | null;
  readonly contents: readonly Uint8Array[];
  readonly pieces: Readonly<Record<string, Wanted>>;
  /** digests of contents that the number alone makes */
  readonly alone: readonly string[];
}

interface Piece {
  readonly id: string;
  readonly spec: unknown;
  readonly blobs: readonly { readonly ref: BlobRef; readonly bytes: Uint8Array }[];
  readonly wanted: Wanted;
}

export const SHARED = '/opt/line/shared.txt';
const OUTSIDE = '/srv/other/taken.txt';

const made = new Map<string, FieldCargo>();

export function fieldCargo(choice: FieldChoice): FieldCargo {
  const key = JSON.stringify(choice);
  const known = made.get(key);
  if (known) return known;
  const pieces = [confOf(choice), webOf(choice), programOf(choice), beyondOf(choice)].filter(
    (piece) => piece !== null,
  );
  const documents = pieces.map(({ id, spec }) => ({
    id,
    bytes: encode(JSON.stringify({ apiVersion: 'holdfast/v1', kind: 'Deployment', id, spec })),
  }));
  const blobs = pieces.flatMap((piece) => piece.blobs);
  const cargo: FieldCargo = {
    deployments: documents.map(({ id, bytes }) => ({
      ...{ id, digest: sha256(bytes), size: bytes.length, mediaType: MEDIA.deployment },
    })),
    blobs: blobs.map(({ ref }) => ref),
    documents: writeDocuments(documents.map(({ bytes }) => bytes)),
    contents: blobs.map(({ bytes }) => bytes),
    pieces: Object.fromEntries(pieces.map(({ id, wanted }) => [id, wanted])),
    alone: confOf(choice).blobs.map(({ ref }) => ref.digest),
  };
  made.set(key, cargo);
  return cargo;
}

/** What a state has that no other one of its place has. */
export function markOf({ place, number }: Pick<FieldChoice, 'place' | 'number'>): string {
  return `${place} ${number}\n`;
}

function confOf({ place, number, check }: FieldChoice): Piece {
  const id = `${place}-conf`;
  // Of two sectors and more: there is something to tear.
  const [a, b] = [`${place} a ${number}\n`.repeat(200), markOf({ place, number })];
  const [first, second] = [`/opt/${place}/a.conf`, `/opt/${place}/b.conf`];
  const components = [
    { name: 'a', properties: { blob: `${id}/a`, target: first } },
    { name: 'b', properties: { blob: `${id}/b`, target: second } },
  ];
  const probe = { name: 'check', exec: { command: [`/usr/bin/${check}`] } };
  const health = [{ ...probe, interval: '200ms', timeout: '300ms', retries: 2 }];
  return {
    id,
    spec: {
      deploymentProfile: { type: 'files', components },
      ...(check === null ? {} : { health }),
    },
    blobs: [fileBlob(`${id}/a`, encode(a)), fileBlob(`${id}/b`, encode(b))],
    wanted: { files: { [first]: a, [second]: b }, programs: [] },
  };
}

const inflate = systemInflate();

function webOf({ place, web }: FieldChoice): Piece | null {
  if (web === null) return null;
  const id = `${place}-web`;
  const target = `/opt/${place}/web`;
  const text = `${place} page ${web}\n`.repeat(40);
  const tar = writeTar([{ path: 'index.html', mode: 0o644, kind: 'file', bytes: encode(text) }]);
  const bytes = inflate.gzip(tar);
  const sizes = { size: bytes.length, unpackedSize: tar.length };
  const components = [{ name: 'site', properties: { blob: id, target } }];
  return {
    id,
    spec: { deploymentProfile: { type: 'files', components } },
    blobs: [{ ref: { name: id, mediaType: MEDIA.tree, digest: sha256(bytes), ...sizes }, bytes }],
    wanted: { files: { [`${target}/index.html`]: text }, programs: [] },
  };
}

/** how a program that is told a serial number is called by the model, whatever the number */
export const TOLD = ' told';

function programOf({ place, program, valued, endsAfterMs }: FieldChoice): Piece | null {
  if (program === null) return null;
  const id = `${place}-program`;
  const version = `${place} program ${program}`;
  const ends = endsAfterMs === null ? {} : { exitsAfterMs: endsAfterMs };
  const bytes = encode(programText({ version, ...ends }).padEnd(900, '#'));
  const properties = { blob: id, aliveFor: '1s', stop: { timeout: '1s' } };
  const targets = [{ pointer: 'SERIAL', components: ['main'] }];
  const serial = { valueFrom: { deviceValue: 'serial' }, targets };
  return {
    id,
    spec: {
      deploymentProfile: { type: 'process', components: [{ name: 'main', properties }] },
      ...(valued ? { parameters: { serial } } : {}),
    },
    blobs: [fileBlob(id, bytes)],
    wanted: { files: {}, programs: [valued ? `${version}${TOLD}` : version] },
  };
}

function beyondOf({ place, number, beyond }: FieldChoice): Piece | null {
  if (beyond === null) return null;
  const id = `${place}-${beyond}`;
  const target = beyond === 'shared' ? SHARED : OUTSIDE;
  const text = `${place} ${beyond} ${number}\n`;
  const components = [{ name: 'one', properties: { blob: id, target } }];
  return {
    id,
    spec: { deploymentProfile: { type: 'files', components } },
    blobs: [fileBlob(id, encode(text))],
    wanted: { files: { [target]: text }, programs: [] },
  };
}

function fileBlob(name: string, bytes: Uint8Array): Piece['blobs'][number] {
  const size = bytes.length;
  const ref = { name, mediaType: MEDIA.file, digest: sha256(bytes), size, unpackedSize: size };
  return { ref, bytes };
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
