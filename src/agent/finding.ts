/** What `holdfast doctor` says: one row each. Whatever is not well says what to do. */
import type { Code, Fault } from '#errors/fault.ts';

export type Severity = 'ok' | 'note' | 'warning' | 'error';

export interface Finding {
  readonly about: string;
  readonly severity: Severity;
  readonly code: Code | '';
  readonly message: string;
  readonly remedy: string;
}

export function good(about: string, message: string): Finding {
  return { about, severity: 'ok', code: '', message, remedy: '' };
}

export function note(about: string, message: string, remedy = ''): Finding {
  return { about, severity: 'note', code: '', message, remedy };
}

export function weak(about: string, message: string, remedy: string): Finding {
  return { about, severity: 'warning', code: '', message, remedy };
}

export function wrong(about: string, fault: Fault, severity: Severity = 'error'): Finding {
  const { code, message, remedy } = fault;
  return { about, severity, code, message, remedy };
}
