/** Media and payload types (FORMATS: OCI artifact). Compared byte for byte. */
export const MEDIA = {
  artifact: 'application/vnd.holdfast.state.v1',
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  ociEmpty: 'application/vnd.oci.empty.v1+json',
  envelope: 'application/vnd.holdfast.envelope.v1+json',
  root: 'application/vnd.holdfast.root.v1+json',
  documents: 'application/vnd.holdfast.documents.v1+tar',
  file: 'application/octet-stream',
  tree: 'application/vnd.holdfast.tree.v1.tar+gzip',
  deployment: 'application/vnd.holdfast.deployment.v1+yaml',
  margoDeployment: 'application/yaml',
  values: 'application/vnd.holdfast.values.v1+yaml',
  /** a time statement: type of the artifact, of its one layer, and of an answer over HTTP */
  time: 'application/vnd.holdfast.time.v1+json',
  timeRequest: 'application/vnd.holdfast.time-request.v1+protobuf',
} as const;

/** DSSE payload types: every signed thing has its own (check 6). */
export const PAYLOAD = {
  root: 'application/vnd.holdfast.root.v1+protobuf',
  desiredState: 'application/vnd.holdfast.desired-state.v1+protobuf',
  status: 'application/vnd.holdfast.status.v1+protobuf',
  enrolment: 'application/vnd.holdfast.enrolment.v1+protobuf',
  time: 'application/vnd.holdfast.time.v1+protobuf',
} as const;
