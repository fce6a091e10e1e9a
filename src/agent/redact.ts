/**
 * Takes secrets out of text that leaves the device in a support file. Two ways at once: what is known
 * to be secret here (the files that agent.yaml names, values sealed for this device, variables by
 * their names), in every spelling that logs use; and what looks like one wherever it stands. A
 * doubtful word is taken out: a support file that says too little can be asked for again. Every pattern
 * is bounded: a log of a megabyte, whatever stands in it, takes well under a second.
 */
const MARK = '«redacted»';
/** characters: shorter ones are taken out only where they stand alone */
const SHORT = 8;
const KNOWN_MAX = 4_096;
/** names of settings, variables and headers whose value nobody else should see */
const NAME =
  '[\\w.-]{0,48}(?:password|passwd|passphrase|passcode|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|authorization|cookie|session[_-]?id)[\\w-]{0,48}|pass';
/** keys of agent.yaml and of its kin that hold a path, a mode or a number, no secret */
const HARMLESS = /(?:File|Files|_file|Dir|Directory|Url|_url|Mode|Service|Services)$/;

const PEM =
  /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----|$)/g;
const USER_INFO = /\b([a-z][a-z0-9+.-]{1,20}:\/\/)[^\s/@:"'<>]{0,256}(?::[^\s/@"'<>]{0,256})?@/gi;
const SCHEME = /\b(Bearer|Basic|Digest|Negotiate|ApiKey)\s+[A-Za-z0-9._~+/=-]{4,}/gi;
const JWT = /\beyJ[A-Za-z0-9_-]{8,1024}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?/g;
/** what the big clouds and forges give out */
const GIVEN =
  /\b(?:AKIA|ASIA|ghp_|gho_|ghs_|github_pat_|glpat-|xox[abprs]-|sk_live_|AIza)[A-Za-z0-9_-]{10,}/g;
const ASSIGNED = new RegExp(
  `(["']?)\\b(${NAME})\\1(\\s*[:=]\\s*)("(?:[^"\\\\\\n]|\\\\.)*"|'[^'\\n]*'|[^\\s,;&"'{}\\[\\]]+)`,
  'gi',
);

export interface Redactor {
  text(input: string): string;
  /** places so far */
  count(): number;
}

/** @param known  exact secrets, as they stand in their files */
export function redactor(known: readonly string[]): Redactor {
  let count = 0;
  const mark = () => {
    count += 1;
    return MARK;
  };
  const spellings = [...new Set(known.flatMap(spellingsOf))]
    .filter((text) => text.length >= 3)
    .sort((a, b) => b.length - a.length)
    .slice(0, KNOWN_MAX);
  return {
    count: () => count,
    text(input) {
      let out = input;
      for (const secret of spellings) out = without(out, secret, mark);
      out = out.replace(PEM, mark).replace(JWT, mark).replace(GIVEN, mark);
      out = out.replace(USER_INFO, (_, scheme: string) => `${scheme}${mark()}@`);
      out = out.replace(SCHEME, (_, scheme: string) => `${scheme} ${mark()}`);
      return out.replace(ASSIGNED, (...found: readonly string[]) => assigned(found, mark));
    },
  };
}

/** `name: value` and its kin; the name stays, so that one sees that something was set. */
function assigned(
  [whole = '', quote, name = '', sign, value = '']: readonly string[],
  mark: () => string,
): string {
  if (HARMLESS.test(name) || isPlain(value)) return whole;
  return `${quote}${name}${quote}${sign}${/^["']/.test(value) ? `"${mark()}"` : mark()}`;
}

/** Numbers, truths and what is redacted already say nothing. */
function isPlain(value: string): boolean {
  return (
    value.includes(MARK) || /^["']?(?:true|false|null|none|yes|no|-?\d{1,3})?["']?$/i.test(value)
  );
}

function without(text: string, secret: string, mark: () => string): string {
  if (!text.includes(secret)) return text;
  if (secret.length >= SHORT)
    return text
      .split(secret)
      .map((part, at) => (at === 0 ? part : mark() + part))
      .join('');
  const alone = new RegExp(`(?<![A-Za-z0-9])${escaped(secret)}(?![A-Za-z0-9])`, 'g');
  return text.replace(alone, mark);
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
}

/** As it is, line by line (keys), in base64 of both alphabets, in hex, in a URL and in JSON. */
function spellingsOf(secret: string): readonly string[] {
  const text = secret.trim();
  if (text === '') return [];
  const bytes = Buffer.from(text, 'utf8');
  const lines = text
    .split(/\r?\n/)
    .filter((line) => line.length >= 24 && !line.startsWith('-----'));
  const whole = [text, encodeURIComponent(text), JSON.stringify(text).slice(1, -1)];
  return [
    ...whole,
    ...lines,
    ...(bytes.length >= 4
      ? [
          bytes.toString('hex'),
          bytes.toString('base64').replace(/=+$/, ''),
          bytes.toString('base64url'),
        ]
      : []),
  ];
}
