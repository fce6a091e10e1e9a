/**
 * An HTTP GET: healthy for 200–399, or exactly the status asked for. Redirects are an answer and
 * are not followed; the body is not read; the whole probe ends at its timeout, however slowly the
 * peer drips.
 */
import type { Clock } from '#platform/clock.ts';
import type { Http } from '#platform/http.ts';
import type { ProbeRunner } from './probe.ts';

export function httpProbe(
  http: Http,
  clock: Clock,
  { url, status }: { readonly url: string; readonly status: number | null },
): ProbeRunner {
  return {
    kind: 'http',
    async run(_of, timeoutMs, signal) {
      const late = new AbortController();
      const cancel = clock.after(timeoutMs, () => late.abort());
      const both = AbortSignal.any([signal, late.signal]);
      const answer = await http.request({
        method: 'GET',
        url,
        headers: { accept: '*/*', connection: 'close' },
        idleMs: timeoutMs,
        signal: both,
      });
      cancel();
      if (!answer.ok) {
        const reason = late.signal.aborted
          ? `no answer from ${url} in ${timeoutMs} ms`
          : answer.fault.message;
        return { healthy: false, reason };
      }
      answer.value.cancel();
      const found = answer.value.status;
      const healthy = status === null ? found >= 200 && found < 400 : found === status;
      if (healthy) return { healthy };
      return { healthy, reason: `${url} answered ${found}, not ${status ?? '200–399'}` };
    },
  };
}
