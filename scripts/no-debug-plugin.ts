/**
 * Takes the package `debug` out of the bundle: mqtt.js and its parts call it dozens of times for each
 * packet, and a variable of the environment (DEBUG) would make it print packets, secrets included.
 */
import type { BunPlugin } from 'bun';

export const noDebug: BunPlugin = {
  name: 'no-debug',
  setup(build) {
    const namespace = 'no-debug';
    build.onResolve({ filter: /^debug$/ }, () => ({ path: 'debug', namespace }));
    build.onLoad({ filter: /^debug$/, namespace }, () => ({
      contents: `
        const silent = Object.assign(() => undefined, { enabled: false, extend: () => silent });
        module.exports = () => silent;
      `,
      loader: 'js',
    }));
  },
};
