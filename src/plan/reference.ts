/**
 * References into documents as Rego writes them: `input.tool.name`, `input.arguments.to[0]`, `data.a["b c"]`. Pure.
 */
import { goString } from '../decision/builtins-sprintf.ts';
import type { RegoValue } from '../decision/rego-value.ts';
import type { Known } from './trace.ts';

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

const NAMES: Readonly<Record<string, string>> = { 'internal.member_2': 'in' };
const DEPTH_MAX = 4;

/** How a policy would write the value; null for a constant. */
export function expression({ path, call }: Known, depth = 0): string | null {
  if (path !== null) return path;
  if (call === null || depth > DEPTH_MAX) return null;
  const own = call.inside === null ? call.args : call.args.slice(2);
  const args = own.map(
    (arg) => expression(arg, depth + 1) ?? (arg.value === undefined ? '…' : shownValue(arg.value)),
  );
  const name = call.name.replace(/^g[0-9]+\.data\./, '');
  return `${NAMES[name] ?? name}(${args.join(', ')})`;
}
