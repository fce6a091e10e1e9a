/**
 * The small values of deployment documents as schemas: names, paths, owners, modes, commands. Form
 * only; what this device allows is plan/allow.ts.
 */
import * as v from 'valibot';
import type { Owner } from '#state/deployment.ts';
import { isId } from '#state/names.ts';
import { treePath } from './tar-path.ts';
import { encodeText, hasControl } from './text.ts';

const ARGUMENTS_MAX = 256;
const TEXT_MAX = 4_096;
const PATH_MAX = 1_024;
const NAME_MAX = 255;

const COMPONENT = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const PARAMETER = /^[A-Za-z_][A-Za-z0-9_.-]{0,63}$/;
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
const USER = '(?:[A-Za-z_][A-Za-z0-9_.-]{0,31}|[0-9]{1,10})';
const OWNER = new RegExp(`^(${USER})(?::(${USER}))?$`);
const MODE = /^0?[0-7]{3}$/;

/** Text for people: one line. */
export function line() {
  return textOf(
    (text) => text.length > 0 && text.length <= NAME_MAX && !hasControl(text),
    'a line of text',
  );
}

export function idText() {
  return textOf(isId, 'an id: a-z, 0-9, "." and "-", at most 63 characters');
}

export function componentName() {
  return textOf((text) => COMPONENT.test(text), 'a name: a-z, 0-9 and "-", at most 63 characters');
}

export function parameterName() {
  return textOf(
    (text) => PARAMETER.test(text),
    'a name: letters, digits, "_", "." and "-", not starting with a digit',
  );
}

/** Programs are told apart by variables of this prefix. */
export function variableName() {
  return textOf(isVariable, 'a variable name that does not start with HOLDFAST_');
}

export function isVariable(name: string): boolean {
  return VARIABLE.test(name) && !name.startsWith('HOLDFAST_');
}

/** A value in the environment, an argument: anything without NUL. */
export function argument() {
  return textOf((text) => text.length <= TEXT_MAX, `text of at most ${TEXT_MAX} characters`);
}

/** A file or directory beside the document, as the statement names it. */
export function blobName() {
  return textOf(
    isRelativePath,
    'a relative path such as "files/plc.conf", without "." or ".." in it',
  );
}

export function absolutePath() {
  return textOf(isAbsolutePath, 'an absolute path without "." or ".." in it');
}

/** The same, in which `${name}` may stand for part of a component (state/targets.ts). */
export function targetPath() {
  return textOf(
    (text) => isAbsolutePath(text.replaceAll(/\$\{[^/}]*\}/g, 'x')) && isAbsolutePath(text),
    'an absolute path without "." or ".." in it',
  );
}

export function user() {
  const whole = new RegExp(`^${USER}$`);
  return textOf((text) => whole.test(text), 'a user name or number');
}

/** `user`, `user:group`; a number may stand without quotes. */
export function owner() {
  const expected = 'an owner such as "plc" or "plc:plc"';
  return v.pipe(
    v.union([v.string(), v.number()], expected),
    v.rawTransform(({ dataset, addIssue, NEVER }): Owner => {
      const match = OWNER.exec(`${dataset.value}`);
      if (match?.[1] !== undefined) return { user: match[1], group: match[2] ?? null };
      addIssue({ message: expected });
      return NEVER;
    }),
  );
}

/** Permission bits, in quotes: a bare 0644 is decimal to one reader and octal to another. */
export function mode() {
  const expected = 'a mode in quotes such as "0644"';
  return v.pipe(
    v.string(expected),
    v.check((text) => MODE.test(text), expected),
    v.transform((text) => Number.parseInt(text, 8)),
  );
}

/** argv whose first element is a path on the device. */
export function deviceCommand() {
  return argv(isAbsolutePath, 'a command that starts with an absolute path');
}

/** argv whose first element is a path on the device or inside the blob. */
export function blobCommand() {
  return argv(
    (first) => isAbsolutePath(first) || isRelativePath(first),
    'a command that starts with a path, absolute or inside the blob, without "." or ".." in it',
  );
}

function argv(test: (first: string) => boolean, expected: string) {
  return v.pipe(
    v.array(argument(), 'a list of arguments'),
    v.maxLength(ARGUMENTS_MAX, `at most ${ARGUMENTS_MAX} arguments`),
    v.check((args) => args[0] !== undefined && test(args[0]), expected),
  );
}

function isRelativePath(text: string): boolean {
  return !('reason' in treePath(text));
}

function isAbsolutePath(text: string): boolean {
  if (!text.startsWith('/') || hasControl(text) || encodeText(text).length > PATH_MAX) return false;
  return text
    .slice(1)
    .split('/')
    .every(
      (part) => part !== '' && part !== '.' && part !== '..' && encodeText(part).length <= NAME_MAX,
    );
}

function textOf(test: (text: string) => boolean, expected: string) {
  return v.pipe(v.string(expected), v.check(test, expected));
}
