/**
 * Is a deployment for a child of this gateway, and does the child fit? (MARGO.md sections 5 and 12.) Codes of
 * gateways: 101 for a child that nobody knows here, 103 where the choice of one is left to the gateway, which
 * this one does not make. Pure.
 */
import { type Fault, fault } from '#errors/fault.ts';
import { isEligible } from '#plan/margo-eligibility.ts';
import type { MargoCapabilities } from '#state/margo.ts';
import type { MargoDocumentFacts } from '#wire/margo-document.ts';

export interface ChildVerdict {
  /** full id; null: of no child of ours */
  readonly child: string | null;
  readonly refused: Fault | null;
}

export function judgeChild(
  gateway: string,
  children: ReadonlyMap<string, MargoCapabilities>,
  deployment: string,
  { deviceId, rules, type }: Pick<MargoDocumentFacts, 'deviceId' | 'rules' | 'type'>,
): ChildVerdict {
  const device = deviceId ?? '';
  const ours = children.size > 0 && device.startsWith(`${gateway}/`);
  if (!ours) {
    return { child: null, refused: fault('margo.not-this-device', { deployment, device }) };
  }
  if (device === `${gateway}/*`) {
    return { child: gateway, refused: fault('margo.no-placement', { deployment, gateway }) };
  }
  const known = children.get(device);
  if (!known) {
    return { child: device, refused: fault('margo.child-unknown', { deployment, device }) };
  }
  // M55
  if (!known.properties.supportedDeploymentTypes?.includes(type)) {
    return { child: device, refused: fault('margo.unsupported', { deployment, type }) };
  }
  if (!isEligible(rules, known)) {
    const reason = 'none of its eligibility rules matches the child';
    return { child: device, refused: fault('margo.not-eligible', { deployment, reason }) };
  }
  return { child: device, refused: null };
}

/** Faults of a gateway have numbers of Margo's, and the gateway as their source. */
export const GATEWAY_CODES: Readonly<Record<string, string>> = {
  'margo.child-unknown': '101',
  'margo.child-unreachable': '102',
  'margo.no-placement': '103',
};
