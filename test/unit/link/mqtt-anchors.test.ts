/** TLS anchors of the root on the link to the broker: at each connection, and when they change. */
import { describe, expect, test } from 'bun:test';
import { ok } from '#errors/fault.ts';
import { pemOf } from '#link/root-anchors.ts';
import type { TlsOptions } from '#platform/http.ts';
import type { PeerCertificate } from '#platform/tls.ts';
import type { TlsTrust } from '#state/root.ts';
import { fakeLink } from '../../support/fake-broker.ts';

const der = (name: string) => new TextEncoder().encode(name);

function trust(...names: readonly string[]): TlsTrust {
  const anchors = names.map((name) => ({ certificate: der(name), notAfter: 0, comment: name }));
  return { anchors, replacesConfigured: true };
}

function certificate(subject: string, issuer: string): PeerCertificate {
  return {
    raw: der(subject),
    subject,
    issuer,
    notBefore: 0,
    notAfter: Number.MAX_SAFE_INTEGER,
    ca: subject === issuer,
    pathLength: null,
    keyUsage: null,
    extendedKeyUsage: null,
    unknownCritical: [],
    matches: () => true,
    signedBy: (other) => other.subject === issuer,
  };
}

/** A link to a broker whose certificate the CA `issuer` signed, while the root says `held`. */
async function linked(issuer: string, first: TlsTrust | null) {
  let held = first;
  const asked: (string | undefined)[] = [];
  const made = fakeLink({}, { rootAnchors: () => held });
  const { platform } = made.fake;
  const named = (pem: string) => ['old', 'new'].filter((name) => pem.includes(pemOf(der(name))));
  Object.assign(platform, {
    certificates: (pem: string) => ok(named(pem).map((name) => certificate(name, name))),
  });
  platform.sockets.secure = (socket, { ca }: TlsOptions) => {
    asked.push(ca);
    return Promise.resolve(ok({ ...socket, peerChain: () => [certificate('leaf', issuer)] }));
  };
  made.link.start();
  await made.clock.settle();
  return {
    ...made,
    asked,
    async hold(next: TlsTrust | null) {
      held = next;
      made.link.reanchor();
      await made.clock.settle();
    },
  };
}

describe('a session of the broker, when the root names other TLS anchors', () => {
  test('stays when its CA is still named', async () => {
    const { fake, hold, link } = await linked('old', trust('old'));
    await hold(trust('old', 'new'));
    expect(fake.session().ended).toBeNull();
    expect(link.state().kind).toBe('up');
    await link.close();
  });

  test('ends when no anchor vouches for it, and the next one is made with the new anchors', async () => {
    const { asked, clock, fake, hold, link } = await linked('old', trust('old', 'new'));
    await hold(trust('new'));
    expect(fake.sessions.map(({ ended }) => ended)).toEqual(['destroy']);
    expect(link.state()).toMatchObject({ kind: 'down', lastFault: { code: 'link.tls-untrusted' } });
    await clock.advance(20_000);
    expect(asked.at(-1)).toBe(pemOf(der('new')));
    expect(link.state().kind).toBe('up');
    await link.close();
  });

  test('stays where the anchors are the same, whatever vouches for it', async () => {
    const { fake, hold, link } = await linked('elsewhere', trust('old'));
    await hold(trust('old'));
    expect(fake.session().ended).toBeNull();
    await link.close();
  });

  test('that is not there is tried at once', async () => {
    const { clock, fake, hold, link } = await linked('new', trust('new'));
    fake.connect = () => ({
      code: 'link.cut',
      message: '',
      remedy: '',
      retry: 'later',
    });
    fake.session().close();
    await clock.advance(3_600_000);
    const tries = fake.sessions.length;
    fake.connect = () => null;
    await hold(trust('old', 'new'));
    await clock.advance(1_000);
    expect(fake.sessions).toHaveLength(tries + 1);
    expect(link.state().kind).toBe('up');
    await link.close();
  });
});
