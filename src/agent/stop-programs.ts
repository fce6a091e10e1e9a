/**
 * `holdfast stop`, and SIGTERM where the agent is the init of a container: what runs is stopped, in
 * reverse order. A change that is under way is left open first, without a verdict, so that its checks
 * do not look at programs that were told to end, and nothing is started behind the back of the stop.
 * Containers belong to their engine: they run on when the agent's own container ends, and stop when a
 * person says so (decision 0033).
 */
import type { Result } from '#errors/fault.ts';
import type { Assembled } from './assemble.ts';

/** @param said  somebody wants all of it stopped, not the agent's own container alone */
export async function stopPrograms(
  { agent, runtimes }: Pick<Assembled, 'agent' | 'runtimes'>,
  said: boolean,
): Promise<Result<void>> {
  await agent.leaveAlone();
  const programs = await runtimes.process.stopAll();
  if (!said) return programs;
  for (const runtime of runtimes.byType.values()) {
    if (runtime === runtimes.process) continue;
    const stopped = await runtime.stopAll?.();
    if (stopped && !stopped.ok) return stopped;
  }
  return programs;
}
