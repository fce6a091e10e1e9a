/** What is refused before anything of the program is loaded, and what it calls itself. */
import { describe, expect, test } from 'bun:test';
import { faultText, hostileEnvironment, openExecutable } from '#cli/startup.ts';
import { buildVersion, versionLine } from '#cli/version.ts';

describe('L02: the environment at start', () => {
  for (const name of ['BUN_OPTIONS', 'BUN_BE_BUN', 'NODE_TLS_REJECT_UNAUTHORIZED']) {
    for (const value of ['', '0', '1']) {
      test(`${name}=${value} is config.environment`, () => {
        const fault = hostileEnvironment({ PATH: '/bin', [name]: value });
        expect(fault?.code).toBe('config.environment');
        expect(fault?.message).toContain(name);
      });
    }
  }

  test('an ordinary one, LD_PRELOAD and extra certificates included, is taken', () => {
    const env = {
      PATH: '/bin',
      LD_PRELOAD: '/a.so',
      NODE_EXTRA_CA_CERTS: '/ca.pem',
      HOME: '/root',
    };
    expect(hostileEnvironment(env)).toBeNull();
  });

  test('the refusal names every variable and what to do', () => {
    const fault = hostileEnvironment({ BUN_OPTIONS: 'x', BUN_BE_BUN: '1' });
    if (fault === null) throw new Error('taken');
    expect(faultText(fault)).toMatch(
      /^holdfast: config\.environment: .*BUN_OPTIONS, BUN_BE_BUN.*\nUnset .*\n$/,
    );
  });
});

test('an executable whose capabilities everybody would have is refused, others are not', () => {
  const executable = '/usr/bin/holdfast';
  expect(openExecutable({ executable, openToOthers: false })).toBeNull();
  const fault = openExecutable({ executable, openToOthers: true });
  expect(fault?.code).toBe('config.open-executable');
});

describe('the version', () => {
  test('names all that it is made of', () => {
    const version = {
      version: '1.2.3',
      commit: 'abc1234',
      target: 'linux-arm64',
      bun: '1.4.5',
      lmdb: '3.5.6/0.9.90',
      buildTime: 0,
    };
    expect(versionLine(version)).toBe(
      'holdfast 1.2.3 (commit abc1234, linux-arm64, bun 1.4.5, lmdb 3.5.6/0.9.90)',
    );
  });

  test('from source has a build time that a right clock is above', () => {
    expect(buildVersion().target).toBe('source');
    expect(buildVersion().buildTime).toBe(Date.UTC(2026, 10, 23));
  });
});
