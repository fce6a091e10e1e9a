/**
 * Runs a simulation with nothing of the real world in reach: clocks, timers, randomness and the
 * network of the runtime throw while it runs. What a run does comes from its seed, or it fails here.
 */
const SEALED = [
  'setTimeout',
  'setInterval',
  'setImmediate',
  'fetch',
  'WebSocket',
  'EventSource',
] as const;

export function sealed<T>(work: () => T): T {
  const undo: (() => void)[] = [];
  const forbid = (holder: object, name: string): void => {
    const before = Object.getOwnPropertyDescriptor(holder, name);
    if (!before) return;
    Object.defineProperty(holder, name, { ...before, value: () => outside(name) });
    undo.push(() => Object.defineProperty(holder, name, before));
  };
  for (const name of SEALED) forbid(globalThis, name);
  forbid(Date, 'now');
  forbid(Math, 'random');
  forbid(performance, 'now');
  forbid(crypto, 'getRandomValues');
  forbid(crypto, 'randomUUID');
  const RealDate = globalThis.Date;
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, args) =>
      args.length === 0 ? outside('new Date()') : Reflect.construct(target, args),
  });
  undo.push(() => {
    globalThis.Date = RealDate;
  });
  try {
    return work();
  } finally {
    for (const each of undo.toReversed()) each();
  }
}

function outside(name: string): never {
  throw new Error(`${name} is outside of the simulated world`);
}
