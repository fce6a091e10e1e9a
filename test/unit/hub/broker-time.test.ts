/** At a broker that knows its clients, a device asks for the time and hears it, and says it to nobody. */
import { expect, test } from 'bun:test';
import type { Identity } from '#hub/access.ts';
import { mayPublish, maySubscribe } from '#hub/broker-access.ts';

const device = { kind: 'device', id: 'press-7' } as Identity;

test('a device asks under its own name, and answers nobody', () => {
  const may = (topic: string) => mayPublish(device, topic);
  expect(may('holdfast/v1/plant/d/press-7/time/ask')).toBe(true);
  expect(may('holdfast/v1/plant/d/press-8/time/ask')).toBe(false);
  expect(may('holdfast/v1/plant/d/press-7/time')).toBe(false);
  expect(may('holdfast/v1/plant/time')).toBe(false);
});

test('a device hears what is for it and what is for everyone', () => {
  const may = (filter: string) => maySubscribe(device, filter);
  expect(may('holdfast/v1/plant/time')).toBe(true);
  expect(may('holdfast/v1/plant/d/press-7/time')).toBe(true);
  expect(may('holdfast/v1/plant/d/press-8/time')).toBe(false);
  expect(may('holdfast/+/plant/time')).toBe(false);
  expect(may('#')).toBe(false);
});
