/**
 * `holdfast stop`: the containers of this agent end, what was started last first, each with the time that
 * its service asks for. Nothing is removed, so the next start of the agent starts the same containers; the
 * engine itself starts none that was stopped by hand.
 */
import { type Fault, ok, type Result, refused } from '#errors/fault.ts';
import { LABEL } from './compose-container.ts';
import { engineFault, objectOf, textOf } from './compose-engine.ts';
import type { ComposeEnv } from './compose-env.ts';

/** ms: the longest that a service may ask for is the engine's to keep */
const STOP_IDLE_MS = 15 * 60_000;

/** One that does not stop keeps none of the others from being stopped. */
export async function stopContainers(
  env: Pick<ComposeEnv, 'engine' | 'records' | 'storeId'>,
): Promise<Result<void>> {
  const owners = env.records.owners();
  // Nothing was ever brought up: no engine is asked, or started, for it.
  if (!owners.ok || owners.value.length === 0) return owners.ok ? ok(undefined) : owners;
  const engine = await env.engine();
  if (!engine.ok) return engine;
  const filters = JSON.stringify({ label: [`${LABEL.store}=${env.storeId}`] });
  const path = '/containers/json';
  const listed = await engine.value.call({ method: 'GET', path, query: { filters } });
  if (!listed.ok) return listed;
  if (listed.value.status !== 200) return engineFault('list containers', listed.value);
  const running = (Array.isArray(listed.value.json) ? listed.value.json : []).map(objectOf);
  const newest = running.toSorted((a, b) => Number(b.Created) - Number(a.Created));
  let failed: Fault | null = null;
  for (const { Id } of newest) {
    const stopped = await engine.value.call({
      ...{ method: 'POST', path: `/containers/${textOf(Id)}/stop`, idleMs: STOP_IDLE_MS },
    });
    if (!stopped.ok) return stopped;
    const { status } = stopped.value;
    // 304: it has ended; 404: somebody removed it.
    if (status < 400 || status === 404) continue;
    const why = engineFault('stop a container', stopped.value);
    if (!why.ok) failed ??= why.fault;
  }
  return failed ? refused(failed) : ok(undefined);
}
