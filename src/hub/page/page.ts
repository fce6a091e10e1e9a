/**
 * The fleet page, whole in one text: no file beside it, nothing from another origin, so it works where
 * there is no network. Its policy allows this style and this script by their digests and nothing else;
 * texts reach the document as text alone (`require-trusted-types-for` makes the browser hold it).
 */
import { sha256 } from '#state/digest.ts';
import { FLEET_MARKUP } from './markup.ts';
import { FLEET_SCRIPT } from './script.ts';
import { FLEET_STYLE } from './style.ts';

export interface Page {
  readonly html: string;
  /** of the header Content-Security-Policy */
  readonly policy: string;
}

let made: Page | null = null;

export function fleetPage(): Page {
  made ??= make();
  return made;
}

function make(): Page {
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Fleet · Holdfast</title>
<link rel="icon" href="data:,">
<style>${FLEET_STYLE}</style>
</head>
${FLEET_MARKUP}
<script>${FLEET_SCRIPT}</script>
</html>
`;
  const policy = [
    "default-src 'none'",
    `style-src ${hashOf(FLEET_STYLE)}`,
    `script-src ${hashOf(FLEET_SCRIPT)}`,
    "connect-src 'self'",
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ');
  return { html, policy };
}

function hashOf(text: string): string {
  const hex = sha256(Buffer.from(text)).slice('sha256:'.length);
  return `'sha256-${Buffer.from(hex, 'hex').toString('base64')}'`;
}
