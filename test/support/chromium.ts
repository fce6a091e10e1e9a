/**
 * A real Chromium without a window, driven by its own protocol over a websocket: for the pages that
 * people see. One tab at a time; what it logs, throws or asks for is collected.
 * @see https://chromedevtools.github.io/devtools-protocol/
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './eventually.ts';
import { program } from './parts.ts';

/** Why no page can be looked at here; null: it can. */
export const noChromium: string | null =
  program('chromium') === null ? 'chromium is not installed' : null;

export interface View {
  readonly width: number;
  readonly height: number;
  readonly dark?: boolean;
  readonly phone?: boolean;
}

export interface Tab {
  /** addresses of everything it asked for */
  readonly asked: string[];
  /** exceptions, errors of the console, violations of a policy */
  readonly complaints: string[];
  view(view: View): Promise<void>;
  open(url: string, login?: { readonly name: string; readonly secret: string }): Promise<void>;
  /** The value of an expression, by JSON. */
  read<T>(expression: string): Promise<T>;
  /** Until the expression is true. */
  until(what: string, expression: string): Promise<void>;
  /** One key after the other: `Tab`, `Enter`, `Escape`, or a character. */
  press(...keys: readonly string[]): Promise<void>;
  /** PNG */
  picture(file: string): Promise<void>;
}

export interface Chromium {
  readonly tab: Tab;
  close(): Promise<void>;
}

interface Line {
  send<T>(method: string, parameters?: Record<string, unknown>): Promise<T>;
}

type Event = { readonly method?: string; readonly params?: Record<string, unknown> };

export async function startChromium(): Promise<Chromium> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-chromium-'));
  const flags = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'];
  const quiet = ['--no-first-run', '--disable-background-networking', '--disable-extensions'];
  const own = [`--user-data-dir=${folder}`, '--remote-debugging-port=0', '--hide-scrollbars'];
  const child = spawn(
    'chromium',
    [...flags, ...quiet, ...own, '--ignore-certificate-errors', 'about:blank'],
    { stdio: ['ignore', 'ignore', 'pipe'], detached: true },
  );
  let said = '';
  child.stderr.on('data', (text) => {
    said += text;
  });
  const port = await eventually('chromium listens', async () => {
    if (child.exitCode !== null) throw new Error(`chromium ended\n${said.slice(-2_000)}`);
    return /ws:\/\/127\.0\.0\.1:(\d+)\//.exec(said)?.[1];
  });
  const socket = new WebSocket(await targetOf(port));
  await new Promise((done, failed) => {
    socket.onopen = done;
    socket.onerror = failed;
  });
  return {
    tab: await tabOver(socket),
    async close() {
      socket.close();
      await ended(child);
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

async function targetOf(port: string): Promise<string> {
  const targets = await fetch(`http://127.0.0.1:${port}/json`);
  const list = (await targets.json()) as { type: string; webSocketDebuggerUrl: string }[];
  const page = list.find(({ type }) => type === 'page');
  if (!page) throw new Error('chromium has no page');
  return page.webSocketDebuggerUrl;
}

/** With its helpers: they are one group. */
function ended(child: ChildProcess): Promise<void> {
  return new Promise((done) => {
    child.once('exit', () => done());
    if (child.exitCode !== null) done();
    else process.kill(-(child.pid ?? 0), 'SIGKILL');
  });
}

function lineOver(socket: WebSocket, hear: (event: Event) => void): Line {
  const waiting = new Map<number, (answer: Record<string, unknown>) => void>();
  let last = 0;
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(String(data)) as Event & { readonly id?: number };
    const answer = message.id === undefined ? undefined : waiting.get(message.id);
    if (message.id !== undefined) waiting.delete(message.id);
    if (answer) answer(message as Record<string, unknown>);
    else hear(message);
  };
  return {
    send: (method, params = {}) =>
      new Promise((done, failed) => {
        last += 1;
        waiting.set(last, ({ result, error }) =>
          error ? failed(new Error(`${method}: ${JSON.stringify(error)}`)) : done(result as never),
        );
        socket.send(JSON.stringify({ id: last, method, params }));
      }),
  };
}

async function tabOver(socket: WebSocket): Promise<Tab> {
  const asked: string[] = [];
  const complaints: string[] = [];
  let login: { readonly name: string; readonly secret: string } | undefined;
  const line = lineOver(socket, ({ method, params = {} }) => {
    if (method === 'Network.requestWillBeSent') {
      asked.push((params.request as { url: string }).url);
    } else if (method === 'Runtime.exceptionThrown') {
      complaints.push(JSON.stringify(params.exceptionDetails));
    } else if (method === 'Log.entryAdded') {
      const { level, text } = params.entry as { level: string; text: string };
      if (level === 'error') complaints.push(text);
    } else if (method === 'Fetch.requestPaused') {
      void line.send('Fetch.continueRequest', { requestId: params.requestId });
    } else if (method === 'Fetch.authRequired') {
      const known = {
        response: 'ProvideCredentials',
        username: login?.name,
        password: login?.secret,
      };
      const authChallengeResponse = login ? known : { response: 'CancelAuth' };
      void line.send('Fetch.continueWithAuth', {
        requestId: params.requestId,
        authChallengeResponse,
      });
    }
  });
  for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await line.send(`${domain}.enable`);
  const tab: Tab = {
    ...{ asked, complaints },
    async view({ width, height, dark = false, phone = false }) {
      const metrics = { width, height, deviceScaleFactor: phone ? 2 : 1, mobile: phone };
      await line.send('Emulation.setDeviceMetricsOverride', metrics);
      const value = dark ? 'dark' : 'light';
      const features = [{ name: 'prefers-color-scheme', value }];
      await line.send('Emulation.setEmulatedMedia', { features });
    },
    async open(url, account) {
      login = account;
      if (account) await line.send('Fetch.enable', { handleAuthRequests: true });
      await line.send('Page.navigate', { url });
      await tab.until('the page is there', "document.readyState === 'complete'");
    },
    async read(expression) {
      const asked = { expression, returnByValue: true, awaitPromise: true };
      const told = await line.send<{ result: { value: never }; exceptionDetails?: unknown }>(
        'Runtime.evaluate',
        asked,
      );
      if (told.exceptionDetails) throw new Error(JSON.stringify(told.exceptionDetails));
      return told.result.value;
    },
    async until(what, expression) {
      await eventually(what, () => tab.read<boolean>(`Boolean(${expression})`));
    },
    async press(...keys) {
      for (const key of keys) {
        const text = key === 'Enter' ? '\r' : key.length === 1 ? key : undefined;
        const windowsVirtualKeyCode = { Tab: 9, Enter: 13, Escape: 27 }[key];
        const named = { key, code: key, windowsVirtualKeyCode };
        await line.send('Input.dispatchKeyEvent', { type: 'keyDown', ...named, text });
        await line.send('Input.dispatchKeyEvent', { type: 'keyUp', ...named });
      }
    },
    async picture(file) {
      const { data } = await line.send<{ data: string }>('Page.captureScreenshot', {
        format: 'png',
      });
      writeFileSync(file, Buffer.from(data, 'base64'));
    },
  };
  return tab;
}
