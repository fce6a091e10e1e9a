/** Faults with the prefix `link.`: connections: HTTP, TLS, MQTT, proxies. */
export const linkFaults = {
  'link.unreachable': {
    retry: 'later',
    says: (d: { peer: string; reason: string }) => `${d.peer} cannot be reached: ${d.reason}`,
    remedy:
      'Check the network, the address and the name server (DNS); the agent tries again by itself.',
  },
  'link.timeout': {
    retry: 'later',
    says: (d: { peer: string; ms: number }) => `${d.peer} sent nothing for ${d.ms} ms`,
    remedy: 'Check the network; the agent goes on where it stopped, by itself.',
  },
  'link.cut': {
    retry: 'later',
    says: (d: { peer: string; reason: string }) => `the connection to ${d.peer} broke: ${d.reason}`,
    remedy: 'Check the network; the agent goes on where it stopped, by itself.',
  },
  'link.tls': {
    retry: 'later',
    says: (d: { peer: string; reason: string }) => `${d.peer}: TLS failed: ${d.reason}`,
    remedy: 'Check the certificate of the server, tls.ca in the configuration and the clock.',
  },
  'link.tls-untrusted': {
    retry: 'later',
    says: (d: { peer: string; reason: string }) =>
      `${d.peer}: its certificate is not trusted: ${d.reason}`,
    remedy:
      'Give the server a certificate that is in force and names the host, of a CA in tls.ca or in the root held; a device that missed a change of CA takes the root from a bundle (`publish --to oci:DIR`).',
  },
  'link.no-anchors': {
    retry: 'later',
    says: (d: { peer: string }) =>
      `${d.peer} is not asked: the root held replaces tls.ca, and none of its own CAs is in force`,
    remedy:
      'Add a CA to the root (`holdfast root tls add`), publish it, and bring it to the device as a bundle (`publish --to oci:DIR`).',
  },
  'link.proxy': {
    retry: 'later',
    says: (d: { peer: string; proxy: string; reason: string }) =>
      `the proxy ${d.proxy} does not lead to ${d.peer}: ${d.reason}`,
    remedy:
      'Check proxy in the configuration, its credentials (proxyAuth, or http://USER:PASSWORD@HOST:PORT), and that the proxy may reach the host.',
  },
  'link.slow': {
    retry: 'later',
    says: (d: { peer: string; bytes: number; ms: number }) =>
      `${d.peer} sent only ${d.bytes} bytes in ${d.ms} ms`,
    remedy: 'Check the network or use another mirror; a download goes on where it stopped.',
  },
  'link.http-status': {
    retry: 'later',
    says: (d: { peer: string; status: number; message: string }) =>
      `${d.peer} answered ${d.status}${d.message === '' ? '' : `: ${d.message}`}`,
    remedy: 'Look at the log of the server; the agent tries again by itself.',
  },
  'link.unauthorized': {
    retry: 'operator',
    says: (d: { peer: string; reason: string }) => `${d.peer} wants other credentials: ${d.reason}`,
    remedy: 'Correct auth in the configuration; its files are read again at each try.',
  },
  'link.forbidden': {
    retry: 'operator',
    says: (d: { peer: string; message: string }) =>
      `${d.peer} forbids it${d.message === '' ? '' : `: ${d.message}`}`,
    remedy: 'Give the account the right to pull (devices) or push (publishers) in this repository.',
  },
  'link.rate-limited': {
    retry: 'later',
    says: (d: { peer: string; status: number }) => `${d.peer} is busy (${d.status})`,
    remedy: 'Wait; the agent tries again when the server said it may.',
  },
  'link.too-large': {
    retry: 'never',
    says: (d: { what: string; cap: number }) => `${d.what} is longer than ${d.cap} bytes`,
    remedy:
      'The server answers with more than this may be: check its address, or what was pushed there.',
  },
  'link.redirect-refused': {
    retry: 'operator',
    says: (d: { from: string; to: string; reason: string }) =>
      `${d.from} redirects to ${d.to}: ${d.reason}`,
    remedy: 'Configure the address that the server redirects to, or stop the redirect there.',
  },
  'link.encoding-refused': {
    retry: 'operator',
    says: (d: { peer: string; encoding: string }) =>
      `${d.peer} sent content-encoding ${d.encoding}, which was not asked for`,
    remedy: 'Turn compression off for this path in the server or proxy.',
  },
  'link.scheme-refused': {
    retry: 'operator',
    says: (d: { url: string; reason: string }) => `${d.url} is refused: ${d.reason}`,
    remedy:
      'Use https:// without user information, or add `insecure: true` beside a plain http:// URL.',
  },
  'link.bad-response': {
    retry: 'later',
    says: (d: { peer: string; reason: string }) =>
      `${d.peer} does not answer as it must: ${d.reason}`,
    remedy: 'Check that the URL is that of an OCI registry, and look at its log.',
  },
  'link.down': {
    retry: 'later',
    says: (d: { peer: string }) => `there is no connection to ${d.peer}`,
    remedy: 'Nothing is lost: it is sent when the broker is reached again.',
  },
  'link.mqtt-url': {
    retry: 'operator',
    says: (d: { url: string; reason: string }) => `${d.url} is no usable broker: ${d.reason}`,
    remedy:
      'Write mqtts://host:port or wss://host/path, or add `insecure: true` beside a plain mqtt:// or ws:// URL; credentials go to auth.',
  },
  'link.websocket': {
    retry: 'later',
    says: (d: { peer: string; reason: string }) => `${d.peer} opens no WebSocket: ${d.reason}`,
    remedy:
      'Check that this port of the broker speaks WebSockets, and the path in mqtt.url (often /mqtt).',
  },
  'link.mqtt-topic': {
    retry: 'operator',
    says: (d: { topic: string; reason: string }) => `${d.topic} is no usable topic: ${d.reason}`,
    remedy: 'Correct mqtt.topicRoot in the configuration, or the name of the channel or device.',
  },
  'link.mqtt-outgoing-too-large': {
    retry: 'never',
    says: (d: { topic: string; bytes: number; cap: number }) =>
      `a message of ${d.bytes} bytes for ${d.topic} is above the ${d.cap} that a broker must take`,
    remedy: 'Send less in one message: a nudge without contents is enough, devices fetch the rest.',
  },
  'link.mqtt-protocol': {
    retry: 'later',
    says: (d: { peer: string; version: string }) => `${d.peer} does not speak MQTT ${d.version}`,
    remedy: 'Set mqtt.protocol to auto, or to the version that the broker speaks.',
  },
  'link.mqtt-refused': {
    retry: 'later',
    says: (d: { peer: string; code: number; reason: string }) =>
      `${d.peer} refuses the session: ${d.reason} (${d.code})`,
    remedy:
      'Check mqtt.auth and the access rules of the broker; the files are read again at each try.',
  },
  'link.mqtt-taken-over': {
    retry: 'later',
    says: (d: { peer: string }) => `${d.peer} gave the session to another client of the same name`,
    remedy: 'Two devices share one identity: run `holdfast prepare-image` before copying an image.',
  },
  'link.mqtt-too-large': {
    retry: 'later',
    says: (d: { peer: string; bytes: number; cap: number }) =>
      `${d.peer} sent a message of ${d.bytes} bytes; at most ${d.cap} are read`,
    remedy: 'Find who publishes it below the topic root; nudges are below 128 KiB.',
  },
} as const;
