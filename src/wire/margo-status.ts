/**
 * Deployment status of the Margo API, state ↔ bytes (MARGO.md section 7; M58–M62). A manager takes it
 * with what tools in the field send: members of `error` that are missing or empty, a version as
 * digits in text; a device writes all members, and its version as a number of any size.
 */
import * as v from 'valibot';
import {
  MARGO_STATES,
  type MargoDialect,
  type MargoError,
  type MargoStatus,
  severest,
} from '#state/margo.ts';
import { type MargoBody, readMargoBody, wrong } from './margo-json.ts';
import { VERSION_MAX } from './margo-manifest.ts';

const TEXT_MAX = 4_096;
const COMPONENTS_MAX = 1_000;
const state = v.picklist(MARGO_STATES, 'expected one of the six states');
const text = v.pipe(v.string('expected text'), v.maxLength(TEXT_MAX, 'too long'));
const error = v.nullish(
  v.looseObject({
    code: v.nullish(text),
    source: v.nullish(text),
    message: v.nullish(text),
  }),
);
const DIGITS = /^[1-9][0-9]{0,19}$/;
const version = v.pipe(
  v.union([v.bigint(), v.number(), v.string()], 'expected digits'),
  v.check((value) => isVersion(value), 'expected digits, from 1 to 2^64 - 1'),
  v.transform((value) => BigInt(value)),
);
const common = {
  deploymentId: v.pipe(text, v.nonEmpty('missing')),
  deviceId: v.nullish(
    v.pipe(text, v.regex(/^[A-Za-z0-9._~-]+(\/[A-Za-z0-9._~-]+)*$/, 'no device id')),
  ),
  status: v.looseObject({ state, error }),
  components: v.pipe(
    v.array(
      v.looseObject({ name: v.pipe(text, v.nonEmpty('missing')), state, error }),
      'expected a list',
    ),
    v.maxLength(COMPONENTS_MAX, 'too many'),
  ),
};
const rc3 = v.looseObject({ ...common, adoptedManifestVersion: version });
const legacy = v.looseObject({
  ...common,
  apiVersion: v.literal('deployment.margo.org/v1alpha1'),
  kind: v.literal('DeploymentStatusManifest'),
});

/** @param id  of the path, which must be the body's (M62) */
export function readMargoStatus(
  bytes: Uint8Array,
  id: string,
  dialect: MargoDialect,
): MargoBody<MargoStatus> {
  const body =
    dialect === 'rc3'
      ? readMargoBody(bytes, 'the status', rc3)
      : readMargoBody(bytes, 'the status', legacy);
  if (body.kind !== 'read') return body;
  const { value } = body;
  if (value.deploymentId !== id) return wrong('deploymentId', 'the path has another one');
  const components = value.components.map((one) => ({
    name: one.name,
    state: one.state,
    error: errorOf(one.error),
  }));
  const names = new Set(components.map(({ name }) => name));
  if (names.size !== components.length) return wrong('components', 'a name stands twice');
  if (components.length > 0) {
    const least = severest(components.map((one) => one.state));
    const rank = (one: MargoStatus['state']): number => MARGO_STATES.indexOf(one);
    // Failed before any component began is a failure all the same.
    if (rank(value.status.state) > rank(least)) {
      return wrong('status.state', `less severe than a component, which is ${least}`);
    }
  }
  return {
    kind: 'read',
    value: {
      deploymentId: value.deploymentId,
      deviceId: value.deviceId ?? null,
      adoptedVersion:
        'adoptedManifestVersion' in value ? asVersion(value.adoptedManifestVersion) : null,
      state: value.status.state,
      error: errorOf(value.status.error),
      components,
    },
  };
}

/** The same status always gives the same bytes. */
export function writeMargoStatus(status: MargoStatus, dialect: MargoDialect): Uint8Array {
  const { deploymentId, deviceId, adoptedVersion, components } = status;
  const envelope = {
    apiVersion: 'deployment.margo.org/v1alpha1',
    kind: 'DeploymentStatusManifest',
  };
  const rest = {
    ...(dialect === 'rc3' ? {} : envelope),
    deploymentId,
    ...(deviceId !== null && { deviceId }),
    status: stated(status),
    components: components.map((one) => ({ name: one.name, ...stated(one) })),
  };
  const json = JSON.stringify(rest);
  // A bigint has no JSON of its own; its digits come first.
  return new TextEncoder().encode(
    dialect === 'rc3' ? `{"adoptedManifestVersion":${adoptedVersion ?? 1n},${json.slice(1)}` : json,
  );
}

function stated({ state: is, error: why }: Pick<MargoStatus, 'state' | 'error'>) {
  return { state: is, ...(why !== null && { error: why }) };
}

function isVersion(value: bigint | number | string): boolean {
  if (typeof value === 'number' && !Number.isSafeInteger(value)) return false;
  if (typeof value === 'string' && !DIGITS.test(value)) return false;
  const number = BigInt(value);
  return number >= 1n && number <= VERSION_MAX;
}

function asVersion(value: unknown): bigint | null {
  return typeof value === 'bigint' ? value : null;
}

/** Old samples write an error of empty texts where there is none. */
function errorOf(
  value:
    | {
        code?: string | null | undefined;
        source?: string | null | undefined;
        message?: string | null | undefined;
      }
    | null
    | undefined,
): MargoError | null {
  const { code, source, message } = value ?? {};
  if (!code && !source && !message) return null;
  return { code: code ?? '', source: source ?? '', message: message ?? '' };
}
