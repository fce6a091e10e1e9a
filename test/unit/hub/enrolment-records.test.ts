/** Records of the hub's enrolment, read back from its disk. */
import { expect, test } from 'bun:test';
import { readOperatorRecord, writeRecord } from '#hub/enrolment-records.ts';
import { codeOf, value } from '../../support/store.ts';

const record = { name: 'anna', secretHash: 'a'.repeat(64), madeAt: 1 };
const read = (from: unknown) =>
  readOperatorRecord(
    Buffer.from(JSON.stringify(from).replace('"big"', '9007199254740993')),
    'anna',
  );

test('members that this hub does not know go back into the file', () => {
  const from = { ...record, later: [{ since: 2 }] };
  expect(`${Buffer.from(writeRecord(value(read(from))))}`).toBe(`${JSON.stringify(from)}\n`);
});

for (const [where, later] of [
  ['beside the others', 'big'],
  ['in a list', [1, 'big']],
  ['in a member', { inner: { deep: 'big' } }],
] as const) {
  test(`a number beyond 2^53 ${where} is no hub's: the record is damaged`, () => {
    expect(codeOf(read({ ...record, later }))).toBe('hub.record-damaged');
  });
}
