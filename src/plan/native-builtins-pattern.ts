/**
 * Native builtins on patterns: regular expressions in linear time (RE2's grammar) and globs. Pure, apart from a
 * bounded cache of compiled patterns.
 */
import { RE2JS } from 're2js';
import { type Builtin, isArray, isNumber } from '../decision/builtin.ts';
import { globExpression } from './glob.ts';
import type { Charge } from './value.ts';

const COMPILED_MAX = 256;
const COMPILE_STEPS = 200;
const compiledPatterns = new Map<string, RE2JS | null>();

/** Costs the same whether the pattern was seen before or not, so that an evaluation always takes the same steps. */
function compiled(pattern: string, charge: Charge): RE2JS | null {
  charge(pattern.length * COMPILE_STEPS);
  const known = compiledPatterns.get(pattern);
  if (known !== undefined) return known;
  if (compiledPatterns.size >= COMPILED_MAX) compiledPatterns.clear();
  const expression = compiledOrNull(pattern);
  compiledPatterns.set(pattern, expression);
  return expression;
}

function compiledOrNull(pattern: string): RE2JS | null {
  try {
    return RE2JS.compile(pattern);
  } catch {
    return null;
  }
}

/** At most the product of both lengths: each state of the pattern at each place of the text. */
function chargeMatch(pattern: string, text: string, charge: Charge): void {
  charge((text.length + 1) * (pattern.length + 1));
}

const match: Builtin = ([pattern, text], { charge }) => {
  if (typeof pattern !== 'string' || typeof text !== 'string') return undefined;
  return matches(pattern, text, charge);
};

function matches(pattern: string, text: string, charge: Charge): boolean | undefined {
  const expression = compiled(pattern, charge);
  if (expression === null) return undefined;
  chargeMatch(pattern, text, charge);
  return expression.matcher(text).find();
}

const findAllSubmatches: Builtin = ([pattern, text, most], { charge }) => {
  if (typeof pattern !== 'string' || typeof text !== 'string') return undefined;
  if (!isNumber(most) || !Number.isInteger(Number(most))) return undefined;
  const expression = compiled(pattern, charge);
  if (expression === null) return undefined;
  const found: string[][] = [];
  const matcher = expression.matcher(text);
  const groups = expression.groupCount();
  chargeMatch(pattern, text, charge);
  for (let last = -1; (most < 0 || found.length < most) && matcher.find(); ) {
    chargeMatch(pattern, '', charge);
    const empty = matcher.start() === matcher.end();
    // As in Go, an empty match right after a match does not count.
    if (empty && matcher.start() === last) continue;
    last = matcher.end();
    found.push(Array.from({ length: groups + 1 }, (_, i) => matcher.group(i) ?? ''));
  }
  return found;
};

const globMatch: Builtin = ([pattern, delimiters, text], { charge }) => {
  if (typeof pattern !== 'string' || typeof text !== 'string') return undefined;
  if (delimiters !== null && !isArray(delimiters)) return undefined;
  const marks = delimiters === null ? [] : delimiters.length === 0 ? ['.'] : delimiters;
  if (!marks.every((mark) => typeof mark === 'string')) return undefined;
  charge(pattern.length * COMPILE_STEPS);
  const expression = globExpression(pattern, marks);
  return expression === null ? undefined : matches(expression, text, charge);
};

export const PATTERN_BUILTINS: Readonly<Record<string, Builtin>> = {
  'regex.match': match,
  re_match: match,
  'regex.is_valid': ([pattern], { charge }) =>
    typeof pattern === 'string' && compiled(pattern, charge) !== null,
  'regex.find_all_string_submatch_n': findAllSubmatches,
  'glob.match': globMatch,
};
