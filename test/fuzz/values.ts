/** Targets: values documents, sealed values, and the files of sealing keys. */
import { openValue, sealValue } from '#trust/sealed-value.ts';
import {
  readSealingPem,
  readSealingPublicPem,
  sealingKeyOf,
  sealingPem,
  sealingPublicPem,
} from '#trust/sealing-key.ts';
import { readValues, withSealed } from '#wire/values.ts';
import { bytesOf } from '../support/wire-samples.ts';
import type { Target } from './engine.ts';
import { answerOf, promise } from './promises.ts';

const KEY = sealingKeyOf(new Uint8Array(32).fill(7));
const PLACE = { fleet: '0'.repeat(32), device: 'press-7', channel: 'device.press-7', name: 'pin' };
const WHERE = { id: 'values', file: 'values.yaml' };

function boxOf(text: string, fill: number): Uint8Array {
  const box = sealValue(text, PLACE, KEY.publicKey, new Uint8Array(32).fill(fill));
  if (!box.ok) throw new Error(box.fault.message);
  return box.value;
}

const BOXES = [boxOf('hunter2', 1), boxOf('x'.repeat(200), 2)];
const DOCUMENT = Buffer.from(
  withSealed(null, 'values', { name: 'pin', box: BOXES[0] ?? KEY.secret }),
);
const PLAIN =
  'apiVersion: holdfast/v1\nkind: Values\nid: values\nvalues:\n  serial: { value: "0047" }\n  line: { value: 3 } # of the plate\n';

/** Whatever was read takes another box and reads again, with all that was in it before. */
function document(input: Uint8Array): string {
  const read = readValues(input, WHERE);
  if (!read.ok) return answerOf(read);
  const again = readValues(
    withSealed(input, 'values', { name: 'other', box: boxOf('y', 3) }),
    WHERE,
  );
  promise(again.ok, `readable again: ${answerOf(again)}`);
  for (const [name, value] of read.value.values) {
    if (name === 'other') continue;
    promise(Bun.deepEquals(again.value.values.get(name), value, true), `${name} as before`);
  }
  return 'ok';
}

/** Only what was sealed opens, and no refusal says anything of it. */
function sealed(input: Uint8Array): string {
  const opened = openValue(input, PLACE, KEY);
  const made = BOXES.some((box) => Buffer.from(box).equals(input));
  promise(opened.ok === made, `opened: ${opened.ok}, made: ${made}`);
  return answerOf(opened);
}

function keys(input: Uint8Array): string {
  const secret = readSealingPem(input, 'sealing.key');
  const shown = readSealingPublicPem(input, 'sealing.pub.pem');
  promise(!(secret.ok && shown.ok), 'one of the two');
  if (secret.ok) promise(readSealingPem(bytesOf(sealingPem(secret.value)), 'k').ok, 'comes back');
  return `${answerOf(secret)} ${answerOf(shown)}`.slice(0, 120);
}

export const VALUES: readonly Target[] = [
  {
    name: 'values document',
    shape: 'text',
    seeds: [new Uint8Array(DOCUMENT), bytesOf(PLAIN)],
    words: ['sealed: ', 'value: ', 'kind: Values', '&a', '*a', '!!binary', '? ', '| '],
    sizeMax: 4_096,
    run: document,
  },
  { name: 'sealed value', shape: 'bytes', seeds: BOXES, run: sealed },
  {
    name: 'sealing key',
    shape: 'armour',
    seeds: [sealingPem(KEY), sealingPublicPem(KEY.publicKey)].map(bytesOf),
    run: keys,
  },
];
