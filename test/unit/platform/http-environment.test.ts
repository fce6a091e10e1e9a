/** A proxy of the environment is none: only the configuration says where requests go. */
import { expect, test } from 'bun:test';
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ROOT } from '../../support/parts.ts';

const CHILD = `
import { bunHttp } from '#platform/bun/http.ts';
const http = bunHttp();
for (const url of process.argv.slice(1)) {
  const answer = await http.request({ method: 'GET', url, headers: {}, idleMs: 5000 });
  console.log(answer.ok ? answer.value.status : answer.fault.code);
}
process.exit(0);`;

test('variables that name a proxy are not read, in either case', async () => {
  const asked: string[] = [];
  const server = createServer(({ url = '', method }, answer) => {
    asked.push(`${method} ${url}`);
    answer.writeHead(url.startsWith('http') ? 502 : 200).end();
  });
  server.on('connect', ({ url }, socket) => {
    asked.push(`CONNECT ${url}`);
    socket.end('HTTP/1.1 403 No\r\n\r\n');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  const at = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const names = ['http_proxy', 'https_proxy', 'all_proxy'];
  const set = [...names, ...names.map((name) => name.toUpperCase())];
  const env = Object.fromEntries(set.map((name) => [name, `http://${at}`]));
  const child = spawn(
    process.execPath,
    ['-e', CHILD, `http://${at}/straight`, `https://127.0.0.1:1/`],
    {
      cwd: ROOT,
      env: { ...env, PATH: process.env.PATH ?? '' },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  let out = '';
  child.stdout.on('data', (text) => {
    out += text;
  });
  await new Promise((resolve) => child.once('close', resolve));
  server.close();
  expect(asked).toEqual(['GET /straight']);
  expect(out).toBe('200\nlink.unreachable\n');
});
