/**
 * Check 12: whom a statement is for. Ids and labels are compared byte for byte: `*` is a character
 * like any other, and what could mean everyone by accident (nothing set, an empty list) means an
 * error (ATTACKS R12).
 */
import type { Audience } from '#state/desired-state.ts';
import type { DeviceFacts } from '#state/device.ts';
import { type Outcome, passed, stop, wait } from './outcome.ts';

// Check 12
export function judgeAudience(audience: Audience, device: DeviceFacts): Outcome<undefined> {
  switch (audience.kind) {
    case 'everyone':
      return passed(undefined, 'for every device');
    case 'devices': {
      if (audience.ids.length === 0) return stop('trust.audience-empty', { what: 'device list' });
      return audience.ids.includes(device.id)
        ? passed(undefined, `names ${device.id}`)
        : wait('trust.not-addressed', { device: device.id, reason: 'it is not in the list' });
    }
    case 'selector': {
      const { allOf } = audience;
      const empty = allOf.length === 0 || allOf.some((m) => m.key === '' || m.values.length === 0);
      if (empty) return stop('trust.audience-empty', { what: 'selector' });
      const labels = new Map(Object.entries(device.labels));
      const failing = allOf.find(({ key, values }) => {
        const own = labels.get(key);
        return own === undefined || !values.includes(own);
      });
      if (!failing)
        return passed(undefined, `labels match (${allOf.map((m) => m.key).join(', ')})`);
      return wait('trust.not-addressed', {
        device: device.id,
        reason: `its label ${failing.key} is ${labels.get(failing.key) ?? 'not set'}`,
      });
    }
  }
}
