/** What the store keeps of a Margo manager, rows ↔ bytes. */
import { create } from '@bufbuild/protobuf';
import { digestToBytes } from '#state/digest.ts';
import { MARGO_STATES, type MargoLinkRow, type MargoReportRow } from '#state/margo.ts';
import { MargoLinkRowSchema, MargoReportRowSchema } from './generated/store_pb.ts';
import { digestField, digestOrNull, oneOf } from './record-parts.ts';
import { type RecordKind, recordKind } from './records.ts';

export const margoLinkRecord: RecordKind<MargoLinkRow> = recordKind(
  MargoLinkRowSchema,
  ({ etag, state, capabilities, children }: MargoLinkRow) =>
    create(MargoLinkRowSchema, {
      etag,
      state: state ? digestToBytes(state) : new Uint8Array(),
      capabilities: capabilities ? digestToBytes(capabilities) : new Uint8Array(),
      children: [...children],
    }),
  (wire) => ({
    etag: wire.etag,
    state: digestOrNull(wire.state, 'state'),
    capabilities: digestOrNull(wire.capabilities, 'capabilities'),
    children: wire.children,
  }),
);

export const margoReportRecord: RecordKind<MargoReportRow> = recordKind(
  MargoReportRowSchema,
  (row: MargoReportRow) =>
    create(MargoReportRowSchema, {
      ...row,
      components: [...row.components],
      digest: digestToBytes(row.digest),
    }),
  (wire) => ({
    deployment: wire.deployment,
    device: wire.device,
    name: wire.name,
    components: wire.components,
    digest: digestField(wire.digest, 'digest'),
    version: wire.version,
    state: oneOf(MARGO_STATES, wire.state, 'state'),
    code: wire.code,
    message: wire.message,
  }),
);
