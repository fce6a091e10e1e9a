/** For whom the runtime is set, and that it happens once. */
import { expect, test } from 'bun:test';
import { settingsToAdd } from '#cli/startup.ts';

test('the agent begins again once, with the settings that are missing', () => {
  const settings = settingsToAdd(['agent', '--config', 'a.yaml'], {});
  expect(settings).toEqual({ BUN_JSC_useDFGJIT: '0' });
  expect(settingsToAdd(['agent'], { ...settings })).toBeNull();
});

test('what somebody has set stays', () => {
  expect(settingsToAdd(['agent'], { BUN_JSC_useDFGJIT: '1' })).toBeNull();
});

test('other commands run as they are', () => {
  for (const args of [[], ['status'], ['hub'], ['--version'], ['publish', 'agent']]) {
    expect(settingsToAdd(args, {})).toBeNull();
  }
});
