/**
 * Secrets and Namespaces as `helm` sends them to an API server: the protobuf form of Kubernetes, read to
 * the JSON form. Only the members that a release's storage has.
 * @see https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding
 */
interface Field {
  readonly number: number;
  readonly bytes: Buffer;
}

const MAGIC = Buffer.from('k8s\0');

export function readKube(body: Buffer): unknown {
  if (!body.subarray(0, 4).equals(MAGIC)) return JSON.parse(body.toString());
  const unknown = fieldsOf(body.subarray(4));
  const type = fieldsOf(one(unknown, 1));
  const kind = one(type, 2).toString();
  const raw = fieldsOf(one(unknown, 2));
  const base = { apiVersion: one(type, 1).toString(), kind, metadata: metadataOf(one(raw, 1)) };
  if (kind !== 'Secret') return base;
  const data = Object.fromEntries(
    all(raw, 2).map((entry) => {
      const pair = fieldsOf(entry);
      return [one(pair, 1).toString(), one(pair, 2).toString('base64')];
    }),
  );
  return { ...base, data, type: one(raw, 3).toString() };
}

function metadataOf(bytes: Buffer) {
  const fields = fieldsOf(bytes);
  const labels = Object.fromEntries(
    all(fields, 11).map((entry) => {
      const pair = fieldsOf(entry);
      return [one(pair, 1).toString(), one(pair, 2).toString()];
    }),
  );
  const namespace = one(fields, 3).toString();
  return { name: one(fields, 1).toString(), ...(namespace !== '' && { namespace }), labels };
}

function fieldsOf(bytes: Buffer): readonly Field[] {
  const fields: Field[] = [];
  for (let at = 0; at < bytes.length; ) {
    const [tag, afterTag] = varint(bytes, at);
    const [length, afterLength] = varint(bytes, afterTag);
    at = afterLength;
    // Wire type 2 has bytes; all that a release needs is of it.
    if ((tag & 7) !== 2) continue;
    fields.push({ number: tag >> 3, bytes: bytes.subarray(at, at + length) });
    at += length;
  }
  return fields;
}

function varint(bytes: Buffer, from: number): readonly [number, number] {
  let value = 0;
  for (let at = from, shift = 1; ; at += 1, shift *= 128) {
    const byte = bytes[at] ?? 0;
    value += (byte & 127) * shift;
    if (byte < 128) return [value, at + 1];
  }
}

function all(fields: readonly Field[], number: number): readonly Buffer[] {
  return fields.filter((field) => field.number === number).map(({ bytes }) => bytes);
}

function one(fields: readonly Field[], number: number): Buffer {
  return all(fields, number)[0] ?? Buffer.alloc(0);
}
