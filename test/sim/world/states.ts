/**
 * Deployments that simulated publishers publish: files, a directory, a program, with health checks
 * and hooks; each with what it means on a device (model/wanted.ts). The same choice always makes the
 * same bytes, which are made once for all runs.
 */
import { systemInflate } from '#platform/node/inflate.ts';
import type { BlobRef, DeploymentRef } from '#state/desired-state.ts';
import { sha256 } from '#state/digest.ts';
import { MEDIA } from '#state/media-types.ts';
import { writeDocuments } from '#wire/documents.ts';
import { writeTar } from '#wire/tar.ts';
import { contentOf, type Kind, pathOf } from '../model/drift.ts';
import type { Wanted } from '../model/wanted.ts';
import { type Behaviour, programText } from './processes.ts';

export interface Choice {
  /** two files at /opt/conf */
  readonly conf: number | null;
  /** a directory at /opt/web */
  readonly web: number | null;
  /** a program */
  readonly plc: number | null;
  readonly conduct: Omit<Behaviour, 'version'>;
  /** a check beside the files */
  readonly check: 'healthy' | 'ill' | 'nothing' | null;
  readonly reload: boolean;
  /** three files at /srv that people edit (model/drift.ts) */
  readonly edited?: number;
  /** the program needs the files */
  readonly needs?: true;
}

export interface Cargo {
  readonly deployments: readonly DeploymentRef[];
  readonly blobs: readonly BlobRef[];
  readonly documents: Uint8Array | null;
  readonly contents: readonly Uint8Array[];
  readonly wanted: Wanted;
  readonly bad: boolean;
  readonly badIds: readonly string[];
  readonly needs: Readonly<Record<string, readonly string[]>>;
}

const made = new Map<string, Cargo>();

export function cargoOf(choice: Choice): Cargo {
  const key = JSON.stringify(choice);
  const known = made.get(key);
  if (known) return known;
  const cargo = load(choice);
  made.set(key, cargo);
  return cargo;
}

interface Piece {
  readonly id: string;
  readonly spec: unknown;
  readonly blobs: readonly { readonly ref: BlobRef; readonly bytes: Uint8Array }[];
  readonly files: Readonly<Record<string, string>>;
  readonly programs: readonly string[];
}

function load(choice: Choice): Cargo {
  const pieces = [confOf(choice), webOf(choice), plcOf(choice), ...editedOf(choice)].filter(
    (piece) => piece !== null,
  );
  const documents = pieces.map(({ id, spec }) => ({
    id,
    bytes: encode(JSON.stringify({ apiVersion: 'holdfast/v1', kind: 'Deployment', id, spec })),
  }));
  const blobs = pieces.flatMap((piece) => piece.blobs);
  const { conduct, check, plc, conf } = choice;
  const dies = plc !== null && conduct.exitsAfterMs !== undefined && conduct.exitsAfterMs < 900;
  const ill = conf !== null && (check === 'ill' || check === 'nothing');
  return {
    deployments: documents.map(({ id, bytes }) => ({
      id,
      digest: sha256(bytes),
      size: bytes.length,
      mediaType: MEDIA.deployment,
    })),
    blobs: blobs.map(({ ref }) => ref),
    documents: documents.length > 0 ? writeDocuments(documents.map(({ bytes }) => bytes)) : null,
    contents: blobs.map(({ bytes }) => bytes),
    wanted: {
      files: Object.assign({}, ...pieces.map(({ files }) => files)),
      programs: pieces.flatMap(({ programs }) => programs),
    },
    bad: dies || ill,
    badIds: [...(dies ? ['plc'] : []), ...(ill ? ['conf'] : [])],
    needs: needsOf(choice),
  };
}

function needsOf({ plc, conf, needs }: Choice): { readonly plc?: readonly string[] } {
  return needs && plc !== null && conf !== null ? { plc: ['conf'] } : {};
}

function confOf({ conf, check, reload }: Choice): Piece | null {
  if (conf === null) return null;
  // Of two sectors and more: there is something to tear.
  const [a, b] = [`a=${conf}\n`.repeat(300), `b=${conf}\n`];
  const components = [
    { name: 'a', properties: { blob: 'conf/a', target: '/opt/conf/a.conf' } },
    { name: 'b', properties: { blob: 'conf/b', target: '/opt/conf/b.conf', mode: '0600' } },
  ];
  const hooks = reload ? { hooks: { reload: { command: ['/usr/bin/healthy', 'reload'] } } } : {};
  const probe = { name: 'check', exec: { command: [`/usr/bin/${check}`] } };
  const times = { interval: '200ms', timeout: '300ms', retries: 2 };
  return {
    id: 'conf',
    spec: {
      deploymentProfile: { type: 'files', components, ...hooks },
      ...(check === null ? {} : { health: [{ ...probe, ...times }] }),
    },
    blobs: [fileBlob('conf/a', encode(a)), fileBlob('conf/b', encode(b))],
    files: { '/opt/conf/a.conf': a, '/opt/conf/b.conf': b },
    programs: [],
  };
}

const inflate = systemInflate();

function webOf({ web }: Choice): Piece | null {
  if (web === null) return null;
  const texts = { 'index.html': `page ${web}\n`.repeat(90), 'lib/x.js': `x${web}` };
  const tar = writeTar([
    { path: 'index.html', mode: 0o644, kind: 'file', bytes: encode(texts['index.html']) },
    { path: 'lib', mode: 0o755, kind: 'directory' },
    { path: 'lib/x.js', mode: 0o644, kind: 'file', bytes: encode(texts['lib/x.js']) },
  ]);
  const bytes = inflate.gzip(tar);
  const size = bytes.length;
  const common = { name: 'web', mediaType: MEDIA.tree, digest: sha256(bytes), size };
  const components = [{ name: 'site', properties: { blob: 'web', target: '/opt/web' } }];
  return {
    id: 'web',
    spec: { deploymentProfile: { type: 'files', components } },
    blobs: [{ ref: { ...common, unpackedSize: tar.length }, bytes }],
    files: {
      '/opt/web/index.html': texts['index.html'],
      '/opt/web/lib/x.js': texts['lib/x.js'],
    },
    programs: [],
  };
}

function plcOf(choice: Choice): Piece | null {
  const { plc, conduct } = choice;
  if (plc === null) return null;
  const version = `plc ${plc}`;
  const bytes = encode(programText({ version, ...conduct }).padEnd(1_300, '#'));
  const properties = { blob: 'plc', aliveFor: '1s', stop: { timeout: '1s' } };
  return {
    id: 'plc',
    spec: {
      ...(needsOf(choice).plc && { dependsOn: ['conf'] }),
      deploymentProfile: { type: 'process', components: [{ name: 'main', properties }] },
    },
    blobs: [fileBlob('plc', bytes)],
    files: {},
    programs: [conduct.exitsAfterMs === undefined ? version : `~${version}`],
  };
}

const EDITED: readonly { readonly kind: Kind; readonly drift: string; readonly once: boolean }[] = [
  { kind: 'kept', drift: 'repair', once: false },
  { kind: 'told', drift: 'report', once: false },
  { kind: 'own', drift: 'repair', once: true },
];

/** Their files are looked at by a model of their own: to the others they are not there. */
function editedOf({ edited }: Choice): readonly Piece[] {
  if (edited === undefined) return [];
  return EDITED.map(({ kind, drift, once }) => {
    const properties = { blob: kind, target: pathOf(kind), once };
    const deploymentProfile = { type: 'files', components: [{ name: kind, properties }] };
    return {
      id: kind,
      spec: { drift, deploymentProfile },
      blobs: [fileBlob(kind, encode(contentOf(kind, edited)))],
      files: {},
      programs: [],
    };
  });
}

function fileBlob(name: string, bytes: Uint8Array): Piece['blobs'][number] {
  const size = bytes.length;
  const ref = { name, mediaType: MEDIA.file, digest: sha256(bytes), size, unpackedSize: size };
  return { ref, bytes };
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
