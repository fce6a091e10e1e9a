/** What `init` writes beside keys and root: a fleet.yaml, and one deployment for each runtime. */

import { fleetSchemas, schemaFile, schemaText } from './schemas.ts';

export interface ExampleFile {
  /** relative to the fleet folder */
  readonly path: string;
  readonly text: string;
  readonly mode: number;
}

import { EVERY_DEVICE } from './fleet.ts';

const PLAIN = 0o644;
const PROGRAM = 0o755;

/** Of the key that `init` makes for a channel: `device.*` is no file name. */
export function signerName(channel: string): string {
  return channel === EVERY_DEVICE ? 'device' : channel;
}

export function fleetYaml(fleet: {
  readonly name: string;
  readonly channels: readonly string[];
  readonly registry: string | null;
  readonly mqtt: string | null;
  readonly insecure: boolean;
}): string {
  const insecure = fleet.insecure ? ', insecure: true' : '';
  const url = (text: string) => `{ url: ${JSON.stringify(text)}${insecure} }`;
  const registry = fleet.registry
    ? `registry: ${url(fleet.registry)}`
    : '# registry: { url: https://registry.example/plant/state, auth: { usernameFile: …, passwordFile: … } }';
  const mqtt = fleet.mqtt ? `mqtt: ${url(fleet.mqtt)}` : '# mqtt: { url: mqtts://broker.example }';
  const channels = fleet.channels.map(
    (name) => `  ${name}:
    signers: [${signerName(name)}]                 # keys/signing/${signerName(name)}.pem
    audience: everyone               # or { devices: [press-7] }, { labels: { site: [a, b] } }
    policy: { healthWindow: 0s }     # urgent, attempts, validForDays, minAgentVersion`,
  );
  return `${editorLine('fleet', '')}# Where states are published and who signs them. Who may sign is in root/, not here.
apiVersion: holdfast/v1
kind: Fleet
name: ${JSON.stringify(fleet.name)}
${registry}
${mqtt}
channels:
${channels.join('\n')}
`;
}

/** What yaml-language-server reads, in VS Code and others: where the schema of this file is. */
function editorLine(kind: string, up: string): string {
  return `# yaml-language-server: $schema=${up}${schemaFile(kind)}\n`;
}

/** For editors, offline. */
export function schemaFiles(): readonly ExampleFile[] {
  return [...fleetSchemas()].map(([kind, schema]) => ({
    path: schemaFile(kind),
    text: schemaText(schema),
    mode: PLAIN,
  }));
}

/** Publishes as it is. The targets lie below /opt, which agents allow by default. */
export function exampleFiles(channel: string): readonly ExampleFile[] {
  const at = (path: string) => `channels/${channel}/${path}`;
  return [
    { path: at('hello-files.yaml'), text: FILES_DOCUMENT, mode: PLAIN },
    { path: at('files/hello.conf'), text: 'greeting=hello\nspeed=1\n', mode: PLAIN },
    { path: at('site/index.html'), text: '<p>Kept by Holdfast.</p>\n', mode: PLAIN },
    { path: at('hello-process.yaml'), text: PROCESS_DOCUMENT, mode: PLAIN },
    { path: at('bin/hello'), text: PROGRAM_TEXT, mode: PROGRAM },
  ];
}

const FILES_DOCUMENT = `${editorLine('deployment', '../../')}# One file and one directory, put where programs expect them.
apiVersion: holdfast/v1
kind: Deployment
id: hello-files
metadata: { name: "Example: files" }
spec:
  deploymentProfile:
    type: files
    components:
      - name: conf
        properties: { blob: files/hello.conf, target: /opt/hello/hello.conf, mode: "0644" }
      - name: site
        properties: { blob: site, target: /opt/hello/site }
`;

const PROCESS_DOCUMENT = `${editorLine('deployment', '../../')}# A program that Holdfast starts and keeps running.
apiVersion: holdfast/v1
kind: Deployment
id: hello-process
metadata: { name: "Example: process" }
spec:
  dependsOn: [hello-files]
  deploymentProfile:
    type: process
    components:
      - name: hello
        properties:
          blob: bin/hello
          stop: { signal: SIGTERM, timeout: 5s }
          aliveFor: 1s
  parameters:
    device: { valueFrom: { device: id }, targets: [{ pointer: DEVICE, components: [hello] }] }
`;

const PROGRAM_TEXT = `#!/bin/sh
# The example program: says hello once a minute until it is told to stop.
trap 'exit 0' TERM
while :; do
  echo "hello from \${DEVICE:-this device}"
  sleep 60 &
  wait $!
done
`;
