/**
 * The fleet page of a hub, put together: what it knows (fleet-view.ts) from what the broker retains, and
 * how it is read (fleet-routes.ts). The broker does not know of it: it is told after a message is durable.
 */
import { ok, type Result } from '#errors/fault.ts';
import type { Platform } from '#platform/platform.ts';
import { type FleetRoutes, fleetRoutes } from './fleet-routes.ts';
import { type FleetView, fleetView } from './fleet-view.ts';
import type { RegistryHandler } from './registry.ts';
import { openRetained, type Retained } from './retained.ts';
import type { Secure } from './secure.ts';

export interface Fleet {
  readonly view: FleetView;
  readonly routes: FleetRoutes;
  /** For a hub that knows no users: the page, and everything else as before. */
  before(registry: RegistryHandler): RegistryHandler;
  close(): void;
}

export interface FleetOptions {
  readonly folder: string;
  readonly host: string;
  /** every machine may read and write */
  readonly insecure: boolean;
  readonly guard: Pick<Secure, 'access' | 'enrolments' | 'keyOf'> | null;
  readonly retained: Retained;
}

/** What a browser on this machine may call it; any other name was made for it by somebody else. */
const LOOPBACK = ['localhost', '127.0.0.1', '::1'];

export function openFleet(
  { clock, files }: Pick<Platform, 'clock' | 'files'>,
  { folder, host, insecure, guard, retained }: FleetOptions,
): Result<Fleet> {
  const kept = openRetained(files, `${folder}/fleet`, clock);
  if (!kept.ok) return kept;
  const keyOf = guard?.keyOf ?? (() => 'open' as const);
  const enrolments = guard?.enrolments ?? null;
  const view = fleetView({ clock, retained, kept: kept.value, keyOf, enrolments });
  guard?.access.onRevoked((name) => view.judgeAgain(name));
  const hosts = guard || insecure ? null : new Set([...LOOPBACK, host]);
  const routes = fleetRoutes({ view, clock, hosts });
  return ok({
    view,
    routes,
    before: (registry) => async (request) => routes.answer(request, null) ?? registry(request),
    close() {
      view.close();
      kept.value.close();
    },
  });
}

/** The same messages; the view hears of each that is durable. */
export function watched(retained: Retained, view: Pick<FleetView, 'saw'>): Retained {
  return {
    ...retained,
    async put(topic, payload) {
      const put = await retained.put(topic, payload);
      if (put.ok) view.saw(topic);
      return put;
    },
  };
}
