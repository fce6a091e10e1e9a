/** A small client of a registry on loopback, for tests. */
import { expect } from 'bun:test';
import { createHash } from 'node:crypto';

export const IMAGE = 'application/vnd.oci.image.manifest.v1+json';

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** `404 BLOB_UNKNOWN` */
export async function errorCode(response: Response): Promise<string> {
  const body = (await response.json()) as { errors: { code: string }[] };
  return `${response.status} ${body.errors[0]?.code}`;
}

export interface RegistryClient {
  url(path: string): string;
  pushBlob(repository: string, bytes: Uint8Array): Promise<string>;
  putManifest(repository: string, reference: string, bytes: Uint8Array): Promise<Response>;
  /** An image with one layer that holds this text. */
  pushImage(
    repository: string,
    tag: string,
    text: string,
    more?: object,
  ): Promise<{ readonly bytes: Buffer; readonly digest: string; readonly response: Response }>;
}

/** @param port  asked for at each call: a hub may be started again */
export function registryClient(port: () => number): RegistryClient {
  const url = (path: string) => `http://127.0.0.1:${port()}${path}`;
  const pushBlob = async (repository: string, bytes: Uint8Array) => {
    const digest = digestOf(bytes);
    const begun = await fetch(url(`/v2/${repository}/blobs/uploads/`), { method: 'POST' });
    expect(begun.status).toBe(202);
    const location = begun.headers.get('location') ?? '';
    const put = await fetch(url(`${location}?digest=${digest}`), { method: 'PUT', body: bytes });
    expect(put.status).toBe(201);
    return digest;
  };
  const putManifest = (repository: string, reference: string, bytes: Uint8Array) =>
    fetch(url(`/v2/${repository}/manifests/${reference}`), {
      method: 'PUT',
      body: bytes,
      headers: { 'content-type': IMAGE },
    });
  return {
    url,
    pushBlob,
    putManifest,
    async pushImage(repository, tag, text, more = {}) {
      const config = await pushBlob(repository, Buffer.from('{}'));
      const layer = await pushBlob(repository, Buffer.from(text));
      const manifest = {
        schemaVersion: 2,
        mediaType: IMAGE,
        config: { mediaType: 'application/vnd.oci.empty.v1+json', digest: config, size: 2 },
        layers: [{ mediaType: 'application/x', digest: layer, size: Buffer.byteLength(text) }],
        ...more,
      };
      const bytes = Buffer.from(JSON.stringify(manifest));
      const response = await putManifest(repository, tag, bytes);
      expect(response.status).toBe(201);
      return { bytes, digest: digestOf(bytes), response };
    },
  };
}
