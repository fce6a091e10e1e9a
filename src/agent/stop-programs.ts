/**
 * `holdfast stop`, and SIGTERM where the agent is the init of a container: what runs is stopped, in
 * reverse order. A change that is under way is left open first, without a verdict, so that its checks
 * do not look at programs that were told to end, and nothing is started behind the back of the stop.
 */
import type { Result } from '#errors/fault.ts';
import type { Assembled } from './assemble.ts';

export async function stopPrograms({
  agent,
  runtimes,
}: Pick<Assembled, 'agent' | 'runtimes'>): Promise<Result<void>> {
  await agent.leaveAlone();
  return runtimes.process.stopAll();
}
