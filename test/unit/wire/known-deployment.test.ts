/** What was read once is not read again, and what is kept is bounded. */
import { describe, expect, test } from 'bun:test';
import { type Digest, sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { MEDIA } from '#state/media-types.ts';
import { readKnownDeployment } from '#wire/known-deployment.ts';

interface Named {
  readonly digest: Digest;
  readonly bytes: Uint8Array;
  readonly mediaType: string;
}

function documentOf(id: string, padding = 0): Named {
  const bytes = Buffer.from(`apiVersion: holdfast/v1
kind: Deployment
id: ${id}
metadata: { name: a } # ${'x'.repeat(padding)}
spec:
  deploymentProfile:
    type: files
    components: [{ name: file, properties: { blob: a, target: /opt/${id} } }]
`);
  return { digest: sha256(bytes), bytes, mediaType: MEDIA.deployment };
}

const read = (document: Named, id: string) =>
  readKnownDeployment(document, { id, file: `${id}.yaml` });

describe('a known document', () => {
  test('is the same value the second time', () => {
    const document = documentOf('line-a');
    const first = read(document, 'line-a');
    const second = read({ ...document, bytes: Buffer.from(document.bytes) }, 'line-a');
    if (!first.ok || !second.ok) throw new Error('not read');
    expect(second.value).toBe(first.value);
  });

  test('is judged anew under another id or media type', () => {
    const document = documentOf('line-b');
    expect(read(document, 'line-b').ok).toBe(true);
    expect(read(document, 'other').ok).toBe(false);
    expect(read({ ...document, mediaType: MEDIA.margoDeployment }, 'line-b').ok).toBe(false);
  });

  test('a refusal is not kept', () => {
    const document = { ...documentOf('line-c'), bytes: Buffer.from('nonsense') };
    expect(read(document, 'line-c').ok).toBe(false);
    expect(read(documentOf('line-c'), 'line-c').ok).toBe(true);
  });

  test('the oldest leave when all together are too large', () => {
    const oldest = documentOf('oldest');
    const before = read(oldest, 'oldest');
    const each = 200 * 1024;
    for (let i = 0; i * each < LIMITS.knownDocumentsBytes; i += 1) {
      expect(read(documentOf(`large-${i}`, each), `large-${i}`).ok).toBe(true);
    }
    const after = read(oldest, 'oldest');
    if (!before.ok || !after.ok) throw new Error('not read');
    expect(after.value).not.toBe(before.value);
    expect(after.value).toEqual(before.value);
  });
});
