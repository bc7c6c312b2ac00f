/**
 * Host builtins on regular expressions with Go's rules for matches, splitting and replacement templates. Pure.
 */
import { type Builtin, type BuiltinContext, isNumber, ofText, ofTexts } from './builtin.ts';
import { compileRegex, type LinearRegex, type Match } from './linear-regex.ts';
import type { RegoValue } from './rego-value.ts';

/** As for sprintf: what is made pays as much as the engine pays to read it. */
const STEPS_PER_OUTPUT_CHARACTER = 200;

/** A limit on matches as Go takes it; null when it is no integer. */
function limitOf(value: RegoValue | undefined): number | null {
  if (!isNumber(value) || (typeof value === 'number' && !Number.isInteger(value))) return null;
  return value < 0 ? -1 : Math.min(Number(value), Number.MAX_SAFE_INTEGER);
}

const group = (text: string, match: Match, index: number) => {
  const [start, end] = [match[2 * index] ?? -1, match[2 * index + 1] ?? -1];
  return start < 0 ? '' : text.slice(start, end);
};

const match = ofTexts((pattern, text, { charge }) => compileRegex(pattern, charge)?.test(text));

const split = ofTexts((pattern, text, { charge }) => {
  const regex = compileRegex(pattern, charge);
  if (regex === null) return undefined;
  if (pattern !== '' && text === '') return [''];
  const parts: string[] = [];
  let from = 0;
  let end = 0;
  for (const [start = 0, stop = 0] of regex.matches(text, -1)) {
    end = start;
    if (stop !== 0) parts.push(text.slice(from, end));
    from = stop;
  }
  if (end !== text.length) parts.push(text.slice(from));
  return parts;
});

/** `pattern, text, limit` to a result for each match. */
const finding =
  (result: (text: string, found: Match) => RegoValue): Builtin =>
  ([pattern, text, number], { charge }) => {
    const limit = limitOf(number);
    if (typeof pattern !== 'string' || typeof text !== 'string' || limit === null) return undefined;
    const found = compileRegex(pattern, charge)?.matches(text, limit);
    return found?.map((one) => result(text, one));
  };

const replace: Builtin = ([text, pattern, template], { charge }) => {
  if (typeof text !== 'string' || typeof pattern !== 'string') return undefined;
  if (typeof template !== 'string') return undefined;
  const regex = compileRegex(pattern, charge);
  if (regex === null) return undefined;
  const parts = templateParts(template, regex);
  let result = '';
  let from = 0;
  for (const found of regex.matches(text, -1)) {
    const [start = 0, end = 0] = found;
    const filled = parts
      .map((part) => (typeof part === 'string' ? part : group(text, found, part)))
      .join('');
    charge((start - from + filled.length) * STEPS_PER_OUTPUT_CHARACTER);
    result += text.slice(from, start) + filled;
    from = end;
  }
  return result + text.slice(from);
};

/** Go's regexp.Expand: `$1`, `${1}`, `$name`, `${name}` and `$$`; a group that does not exist is empty. */
function templateParts(template: string, regex: LinearRegex): readonly (string | number)[] {
  const parts: (string | number)[] = [];
  let from = 0;
  for (const found of template.matchAll(/\$(?:(\$)|\{([\p{L}\p{Nd}_]+)\}|([\p{L}\p{Nd}_]+))/gu)) {
    parts.push(template.slice(from, found.index));
    from = found.index + found[0].length;
    const name = found[2] ?? found[3];
    parts.push(name === undefined ? '$' : groupNumber(name, regex));
  }
  return [...parts, template.slice(from)];
}

function groupNumber(name: string, { names }: LinearRegex): number | string {
  if (/^(?:0|[1-9][0-9]{0,7})$/.test(name)) return Number(name);
  return Object.hasOwn(names, name) ? (names[name] as number) : '';
}

const META = /[\\.+*?()|[\]{}^$]/g;
const quoteMeta = (text: string) => text.replace(META, '\\$&');

/** Text with patterns between delimiters of one byte, which may nest: `urn:<[a-z]+>`. */
const templateMatch: Builtin = ([template, text, open, close], { charge }) => {
  if (typeof template !== 'string' || typeof text !== 'string') return undefined;
  if (typeof open !== 'string' || typeof close !== 'string') return undefined;
  if (Buffer.byteLength(open) !== 1 || Buffer.byteLength(close) !== 1) return undefined;
  const pattern = templatePattern(template, open, close, charge);
  return pattern === null ? undefined : compileRegex(pattern, charge)?.test(text);
};

function templatePattern(
  template: string,
  open: string,
  close: string,
  charge: BuiltinContext['charge'],
): string | null {
  let pattern = '^';
  let level = 0;
  let from = 0;
  for (let at = 0; at < template.length; at++) {
    const character = template[at];
    if (character === open) {
      if (level++ > 0) continue;
      pattern += quoteMeta(template.slice(from, at));
      from = at + 1;
    } else if (character === close) {
      if (--level < 0) return null;
      if (level > 0) continue;
      const inner = template.slice(from, at);
      if (compileRegex(`^${inner}$`, charge) === null) return null;
      pattern += `(${inner})`;
      from = at + 1;
    }
  }
  return level === 0 ? `${pattern}${quoteMeta(template.slice(from))}$` : null;
}

export const REGEX_BUILTINS: Readonly<Record<string, Builtin>> = {
  'regex.is_valid': ([pattern], { charge }) =>
    typeof pattern === 'string' && compileRegex(pattern, charge) !== null,
  'regex.match': match,
  'regex.split': split,
  'regex.find_n': finding((text, found) => group(text, found, 0)),
  'regex.find_all_string_submatch_n': finding((text, found) =>
    Array.from({ length: found.length / 2 }, (_, i) => group(text, found, i)),
  ),
  'regex.replace': replace,
  'regex.template_match': templateMatch,
  'glob.quote_meta': ofText((text) => text.replace(/[*?\\[\]{}]/g, '\\$&')),
};
