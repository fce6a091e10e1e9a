/** Every bound of Holdfast in one table, with units. What passes a bound is refused, never cut. */
export const LIMITS = {
  /** bytes of a DSSE envelope (FORMATS: OCI artifact) */
  envelopeBytes: 256 * 1024,
  /** bytes of one root envelope */
  rootBytes: 64 * 1024,
  /** bytes of an OCI image manifest */
  manifestBytes: 1024 * 1024,
  /** bytes of an OCI image index (a bundle's index.json) */
  indexBytes: 1024 * 1024,
  layersMax: 2_000,
  /** manifests read from one image layout */
  layoutManifestsMax: 16,
  /** bytes of the documents layer */
  documentsBytes: 16 * 1024 * 1024,
  /** bytes of one deployment document */
  documentBytes: 256 * 1024,
  deploymentsMax: 2_000,
  /** bytes of documents whose parsed form is kept in memory */
  knownDocumentsBytes: 1024 * 1024,
  /** bytes of one value of a device, as text */
  valueBytes: 16 * 1024,
  /** values of one device; to open one takes 1 ms, without a JIT 60 */
  valuesMax: 128,
  /** bytes of one blob, as declared in the signed statement */
  blobBytes: 16 * 1024 * 1024 * 1024,
  jsonDepth: 16,
  /** levels of collections in a YAML document */
  yamlDepth: 24,
  /** elements of one repeated field of a protobuf message */
  protobufListMax: 4_096,
  /** unknown fields in one protobuf message, nested ones included */
  protobufUnknownMax: 256,
  /** levels of nested protobuf messages */
  protobufDepth: 16,
  /** ms: the longest duration anything may ask for (a 32-bit timer, 24 days) */
  durationMs: 2_147_483_647,
  /** annotations of one OCI descriptor or manifest */
  annotationsMax: 256,
  /** check 5 */
  signaturesMax: 16,
  /** check 8 */
  verificationsMax: 16,
  /** check 7 */
  rootStepsMax: 64,
  /** TLS anchors of one root; bytes of their certificates together */
  tlsAnchorsMax: 16,
  tlsAnchorsBytes: 32 * 1024,
  /** entries of one unpacked tree */
  treeEntriesMax: 100_000,
  /** unpacked bytes may be at most this many times the packed ones, above the first MiB */
  unpackRatioMax: 200,
  /** bytes of one path inside a tree; of one component */
  treePathBytes: 1_024,
  treeNameBytes: 255,
  treeDepth: 32,
  /** bytes of one MQTT message */
  mqttMessageBytes: 128 * 1024,
  /** bytes of an HTTP error body that is read for its message */
  errorBodyBytes: 64 * 1024,
  /** bytes of a bearer token */
  tokenBytes: 64 * 1024,
  /** ms: the most one time floor rises by one signed value (check 0) */
  floorRiseMs: 400 * 24 * 3_600_000,
  /** ms: a wall clock further than this above the floor is implausible (check 0) */
  wallAheadMs: 10 * 365 * 24 * 3_600_000,
  /** bytes of the envelope of a time statement */
  timeBytes: 64 * 1024,
  timeHeadsMax: 256,
  /** bytes of a nonce */
  timeNonceMin: 16,
  timeNonceMax: 64,
  /** ms: the longest that a policy may let a state go without attested time */
  unattestedMs: 10 * 365 * 24 * 3_600_000,
  attemptsMaxDefault: 3,
  /** how often `holdfast stop` in the middle of a state's tries costs it none */
  stopsMax: 8,
  /** maintenance windows of one policy */
  windowsMax: 32,
  /** refused digests remembered in memory */
  refusedRemembered: 64,
  eventsMax: 256,
  historyMax: 256,
  /** entries of the audit journal; older ones are folded into its checkpoint */
  auditMax: 1_024,
  /** characters of one entry's message */
  auditMessageMax: 512,
  /** refusals that an hour may put into the journal; the others are counted */
  auditRefusalsPerHour: 8,
  /** bytes of statements kept only because an entry names them */
  auditStatementBytes: 64 * 1024 * 1024,
  /** bytes of a file that `audit export` writes */
  auditFileBytes: 4 * 1024 * 1024,
} as const;
