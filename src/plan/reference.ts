/**
 * References into documents as Rego writes them: `input.tool.name`, `input.arguments.to[0]`, `data.a["b c"]`. Pure.
 */
import { goString } from '../decision/builtins-sprintf.ts';
import type { RegoValue } from '../decision/rego-value.ts';

export function memberPath(path: string, key: RegoValue): string {
  return typeof key === 'string' && /^[A-Za-z_][A-Za-z0-9_]*$/.test(key)
    ? `${path}.${key}`
    : `${path}[${shownValue(key)}]`;
}

const SHOWN_CHARACTERS_MAX = 160;

/** A value in the notation of Rego, cut when it is long. */
export function shownValue(value: RegoValue): string {
  const text = goString(value);
  if (text.length <= SHOWN_CHARACTERS_MAX) return text;
  return `${text.slice(0, SHOWN_CHARACTERS_MAX).toWellFormed()}…`;
}
