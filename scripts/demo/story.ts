/** What the demo tells, chapter by chapter. Each row is one device; each tick was read back from it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Device } from './device.ts';
import { forge } from './forge.ts';
import { CHANNEL, type Plant, type Version } from './plant.ts';
import { type ReadBack, Unmet } from './read-back.ts';
import { type Screen, size, type Tick } from './screen.ts';
import type { SignedStatus, Statuses } from './statuses.ts';

export interface Stage {
  readonly folder: string;
  readonly screen: Screen;
  readonly plant: Plant;
  readonly devices: readonly Device[];
  readonly statuses: Statuses;
  readonly readBack: ReadBack;
  /** `http://127.0.0.1:PORT/v2/plant/state` */
  readonly repository: string;
  readonly hub: { stop(): Promise<void>; start(): Promise<void> };
}

/** A version, and the statement that says so. */
interface State {
  readonly version: Version;
  /** `epoch.sequence` */
  readonly point: string;
  /** hex of the state digest */
  readonly digest: string;
}

/** A state on its way. */
interface Change {
  readonly version: Version;
  /** performance.now() before the command began */
  readonly since: number;
  /** what times count from; without it: the nudge */
  readonly from?: number;
  readonly state: Promise<State>;
}

export async function tell(stage: Stage): Promise<void> {
  await publishFirst(stage);
  const second = await update(stage);
  await breakIt(stage, second);
  await forgeIt(stage, second);
  await editByHand(stage, second);
  await stopHub(stage, second);
  const third = await carryBundle(stage, second);
  await catchUp(stage, third);
}

async function publishFirst(stage: Stage): Promise<void> {
  const { screen } = stage;
  screen.step(
    'Publish',
    'A configuration file and a web page (a static C program), signed once for all three.',
  );
  const change = publish(stage, { speed: 1, release: 1 });
  await converged(stage, change, ({ said, ...ms }) => [
    { what: 'file', ms: ms.file },
    { what: 'page', ms: ms.page },
    { what: `signed: ${said.applied} applied`, ms: ms.status },
  ]);
  screen.note(
    'Each tick was read back from the device: the bytes of the file, the answer of the page, the ' +
      'status it signed. Times count from the nudge. A page must live for 1 s to be applied.',
  );
}

async function update(stage: Stage): Promise<State> {
  const { screen, devices, readBack } = stage;
  screen.step('Update', 'The file changes, the program does not, so it is not restarted.');
  const before = new Map<Device, number>();
  for (const device of devices) {
    const { page } = await readBack.page(device, { speed: 1, release: 1 });
    before.set(device, page.pid);
  }
  const change = publish(stage, { speed: 2, release: 1 });
  await converged(stage, change, ({ device, pid, said, ...ms }) => {
    if (before.get(device) !== pid) throw new Unmet(device, 'the page was restarted');
    return [
      { what: 'file', ms: ms.file },
      { what: `page, still process ${pid}`, ms: ms.page },
      { what: `signed: ${said.applied} applied`, ms: ms.status },
    ];
  });
  return change.state;
}

/** A release that crashes 0.3 s after its start: the whole state goes back, the file included. */
async function breakIt(stage: Stage, good: State): Promise<void> {
  const { screen, readBack, devices } = stage;
  screen.step(
    'A broken update',
    'Release 3 of the page crashes 0.3 s after its start. Its file must go back with it.',
  );
  const change = publish(stage, { speed: 3, release: 3 });
  const bad = await change.state;
  await Promise.all(
    devices.map(async (device) => {
      const said = await readBack.status(device, {
        since: change.since,
        what: `${bad.point} is refused and ${good.point} runs`,
        holds: (status) => status.refused?.offered === bad.point && isSettled(status, good),
      });
      await readBack.file(device, good.version);
      const { at } = await readBack.page(device, good.version);
      screen.row(device.name, [
        { what: `signed: ${said.refused?.code}`, ms: null },
        { what: `file and page are those of ${good.point} again`, ms: at - startOf(stage, change) },
      ]);
    }),
  );
  screen.note(`${bad.point} is remembered and not tried again. The next number may be.`);
}

/** Written to the registry and nudged by somebody without a key of the fleet. */
async function forgeIt(stage: Stage, good: State): Promise<void> {
  const { screen, readBack, devices, statuses } = stage;
  screen.step(
    'A forgery',
    'Somebody writes a newer state into the registry, signed with another key, and nudges.',
  );
  for (const { meter } of devices) meter.take();
  const since = performance.now();
  const forgery = await forge(stage.repository, CHANNEL);
  await statuses.send(`${statuses.topicRoot}/c/${CHANNEL}/nudge`, forgery.nudge);
  await Promise.all(
    devices.map(async (device) => {
      const said = await readBack.status(device, {
        since,
        what: `a state is refused by trust and ${good.point} runs`,
        holds: (status) =>
          status.refused?.code.startsWith('trust.') === true && isSettled(status, good),
      });
      await readBack.file(device, good.version);
      await readBack.page(device, good.version);
      const ticks = [
        { what: `signed: ${said.refused?.code}`, ms: said.at - startOf(stage, { since }) },
        { what: 'file and page as before', ms: null },
      ];
      screen.row(device.name, ticks, trafficText(device));
    }),
  );
  await forgery.undo();
}

async function editByHand(stage: Stage, good: State): Promise<void> {
  const { screen, readBack, devices } = stage;
  const device = at(devices, 1);
  screen.step(
    'A hand in the device',
    `Somebody edits the file on ${device.name}. Devices look every 30 s, and whenever they wake.`,
  );
  screen.command(`echo speed=99 > ${device.name}/opt/line.conf; holdfast apply`);
  const since = performance.now();
  writeFileSync(device.configFile, 'speed=99\n');
  // The newest state is the broken one, which it refuses again: that is what its exit code says.
  await device.ask(['apply']).catch(() => '');
  const file = await readBack.file(device, good.version);
  const { at: page } = await readBack.page(device, good.version);
  await readBack.status(device, {
    since,
    what: 'something was repaired',
    holds: ({ events }) => events.includes('drift.repaired'),
  });
  screen.row(device.name, [
    { what: 'file is back', ms: file - since },
    { what: 'page shows it', ms: page - since },
    { what: 'signed: drift.repaired', ms: null },
  ]);
}

async function stopHub(stage: Stage, good: State): Promise<void> {
  const { screen, readBack, devices } = stage;
  const victim = at(devices, 2);
  screen.step(
    'The link is gone',
    `The hub stops. Devices run on, also when the agent of ${victim.name} is killed and started again.`,
  );
  const before = new Map<Device, number>();
  for (const device of devices) {
    before.set(device, (await readBack.page(device, good.version)).page.pid);
  }
  await stage.hub.stop();
  for (const device of devices) {
    const ticks: Tick[] = [];
    if (device === victim) {
      await device.kill();
      const since = performance.now();
      device.start();
      await readBack.applied(device, good.digest);
      ticks.push({ what: 'agent is back', ms: performance.now() - since });
    }
    await readBack.file(device, good.version);
    const { page } = await readBack.page(device, good.version);
    if (before.get(device) !== page.pid) throw new Unmet(device, 'the page was restarted');
    ticks.push({ what: `file is there, page answers, still process ${page.pid}`, ms: null });
    screen.row(device.name, ticks);
  }
}

async function carryBundle(stage: Stage, second: State): Promise<State> {
  const { screen, readBack, devices, plant } = stage;
  const [carrier, ...others] = [at(devices, 0), ...devices.slice(1)];
  screen.step(
    'A state on a stick',
    `The next state is signed without a network and carried to ${carrier.name} as one file.`,
  );
  const version: Version = { speed: 4, release: 2 };
  plant.write(version);
  screen.command(`holdfast publish ${CHANNEL} --to oci-archive:stick.tar`);
  const published = await plant.publish(['publish', CHANNEL, '--to', bundleOf(stage)]);
  screen.command('holdfast apply stick.tar');
  const since = performance.now();
  const applying = carrier.ask(['apply', join(stage.folder, 'stick.tar')]);
  const file = await readBack.file(carrier, version);
  const { at: page } = await readBack.page(carrier, version);
  await applying;
  await readBack.applied(carrier, published.digest);
  screen.row(carrier.name, [
    { what: 'file', ms: file - since },
    { what: 'page', ms: page - since },
    { what: `applied: ${published.point}`, ms: performance.now() - since },
  ]);
  for (const device of others) {
    await readBack.file(device, second.version);
    await readBack.page(device, second.version);
    screen.row(device.name, [{ what: `file and page of ${second.point}, as before`, ms: null }]);
  }
  return { ...published, version };
}

async function catchUp(stage: Stage, third: State): Promise<void> {
  const { screen, plant, devices } = stage;
  const carrier = at(devices, 0);
  screen.step(
    'The link is back',
    'The same signed bytes go to the registry. The device that has them fetches nothing.',
  );
  for (const { meter } of devices) meter.take();
  const since = performance.now();
  await stage.hub.start();
  screen.command(`holdfast publish ${CHANNEL} --from oci-archive:stick.tar`);
  const published = plant.publish(['publish', CHANNEL, '--from', bundleOf(stage)]);
  const state = published.then((again) => ({ ...again, version: third.version }));
  await converged(
    stage,
    { version: third.version, since, from: since, state },
    ({ device, said, ...ms }): readonly Tick[] => {
      if (device !== carrier) {
        return [
          { what: 'file', ms: ms.file },
          { what: 'page', ms: ms.page },
          { what: `signed: ${said.applied} by ${said.via}`, ms: ms.status },
        ];
      }
      if (device.meter.seen().blobs > 0) throw new Unmet(device, 'it fetched what it has');
      return [
        { what: `signed: ${said.applied} by ${said.via}`, ms: ms.status },
        { what: 'no content fetched', ms: null },
      ];
    },
  );
  screen.note('Times count from the start of the hub: devices wait a while between tries.');
  if ((await published).digest !== third.digest) throw new Error('not the state of the stick');
}

/** Writes, then signs, pushes and nudges. */
function publish(stage: Stage, version: Version): Change {
  const { plant, screen, devices } = stage;
  plant.write(version);
  for (const { meter } of devices) meter.take();
  screen.command(`holdfast publish ${CHANNEL}`);
  const since = performance.now();
  const state = plant.publish(['publish', CHANNEL]).then((said) => ({ ...said, version }));
  return { version, since, state };
}

interface Seen {
  readonly device: Device;
  readonly pid: number;
  readonly said: SignedStatus;
  /** ms */
  readonly file: number;
  readonly page: number;
  readonly status: number;
}

/** A row for each device, as soon as file, page and signed status are those of the state. */
async function converged(
  stage: Stage,
  change: Change,
  ticksOf: (seen: Seen) => readonly Tick[],
): Promise<void> {
  const { screen, readBack, devices } = stage;
  const { version, since } = change;
  await Promise.all(
    devices.map(async (device) => {
      const seen = Promise.all([readBack.file(device, version), readBack.page(device, version)]);
      const [state, [file, { at: page }]] = await Promise.all([change.state, seen]);
      const said = await readBack.status(device, {
        since,
        what: `${state.point} is applied and healthy`,
        holds: (status) => isSettled(status, state),
      });
      const { pid } = (await readBack.page(device, version)).page;
      const start = startOf(stage, change);
      const ms = { file: file - start, page: page - start, status: said.at - start };
      screen.row(device.name, ticksOf({ device, pid, said, ...ms }), trafficText(device));
    }),
  );
}

/** Applied, proven, healthy, nothing going on. */
function isSettled(said: SignedStatus, { point, digest }: State): boolean {
  const applied = said.applied === point && said.appliedDigest === digest;
  return applied && said.idle && said.allHealthy;
}

/** When the nudge went out, unless another moment is named. */
function startOf({ statuses }: Stage, { since, from }: Pick<Change, 'since' | 'from'>): number {
  return from ?? Math.max(since, statuses.nudgedAt());
}

function trafficText({ meter }: Device): string {
  const { bytes, requests } = meter.take();
  return requests === 1 ? `${size(bytes)}, 1 request` : `${size(bytes)}, ${requests} requests`;
}

function bundleOf({ folder }: Stage): string {
  return `oci-archive:${join(folder, 'stick.tar')}`;
}

function at(devices: readonly Device[], index: number): Device {
  const device = devices[index];
  if (device === undefined) throw new Error('the story needs three devices');
  return device;
}
