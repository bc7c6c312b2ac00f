/**
 * Native builtins on texts. Positions count Unicode code points, as in OPA. Pure.
 */
import { type Builtin, isArray, isNumber, isSet, ofText, ofTexts } from '../decision/builtin.ts';
import { goString } from '../decision/builtins-sprintf.ts';
import { type RegoValue, sortedRego } from '../decision/rego-value.ts';
import { ValueObject } from './value.ts';

const CHARACTER_STEPS = 5;

/** Pays for its texts, then computes. */
const paid =
  (builtin: Builtin): Builtin =>
  (args, context) => {
    for (const arg of args) {
      if (typeof arg === 'string') context.charge(arg.length * CHARACTER_STEPS);
      else if (isArray(arg)) context.charge(arg.length * CHARACTER_STEPS);
      else if (isSet(arg)) context.charge(arg.size * CHARACTER_STEPS);
    }
    return builtin(args, context);
  };

const concat: Builtin = ([separator, list], { charge }) => {
  if (typeof separator !== 'string' || !(isArray(list) || isSet(list))) return undefined;
  const parts: readonly RegoValue[] = isArray(list) ? list : sortedRego(list);
  if (!parts.every((part) => typeof part === 'string')) return undefined;
  charge(parts.reduce((sum, part) => sum + part.length + separator.length, 0) * CHARACTER_STEPS);
  return parts.join(separator);
};

const codePoints = (text: string) => [...text].length;

const indexOf = ofTexts((text, part) => {
  const at = text.indexOf(part);
  return at === -1 ? -1 : codePoints(text.slice(0, at));
});

const substring: Builtin = ([text, start, length]) => {
  if (typeof text !== 'string' || !isNumber(start) || !isNumber(length)) return undefined;
  if (!Number.isInteger(start) || !Number.isInteger(length) || start < 0) return undefined;
  const points = [...text];
  const from = Number(start);
  return points.slice(from, length < 0 ? undefined : from + Number(length)).join('');
};

const split = ofTexts((text, separator) => (separator === '' ? [...text] : text.split(separator)));

/** Between all characters when the old text is empty, as Go does; never twice over its own result. */
const replaced = (text: string, old: string, fresh: string) => {
  if (old !== '') return text.replaceAll(old, () => fresh);
  return `${fresh}${[...text].map((point) => `${point}${fresh}`).join('')}`;
};

/** A replacement may be long where the old text is short: pays before it makes the result. */
const replace: Builtin = ([text, old, fresh], { charge }) => {
  if (typeof text !== 'string' || typeof old !== 'string' || typeof fresh !== 'string') {
    return undefined;
  }
  const times = old === '' ? text.length + 1 : text.split(old).length - 1;
  charge(times * fresh.length * CHARACTER_STEPS);
  return replaced(text, old, fresh);
};

/** At each place the first of the sorted old texts that fits, in one pass, as Go's Replacer does. */
const replaceMany: Builtin = ([patterns, text], { charge }) => {
  if (!(patterns instanceof ValueObject) || typeof text !== 'string') return undefined;
  const pairs: [string, string][] = [];
  for (const key of patterns.sortedKeys()) {
    const fresh = patterns.get(key);
    if (typeof key !== 'string' || typeof fresh !== 'string') return undefined;
    pairs.push([key, fresh]);
  }
  let result = '';
  let afterMatch = false;
  for (let at = 0; at <= text.length; ) {
    charge(CHARACTER_STEPS * (1 + pairs.length));
    const empty = afterMatch;
    const pair = pairs.find(([old]) => text.startsWith(old, at) && !(old === '' && empty));
    afterMatch = false;
    if (pair !== undefined) {
      charge(pair[1].length * CHARACTER_STEPS);
      result += pair[1];
      at += pair[0].length;
      if (pair[0] !== '') {
        afterMatch = true;
        continue;
      }
    }
    if (at >= text.length) break;
    const point = String.fromCodePoint(text.codePointAt(at) as number);
    result += point;
    at += point.length;
  }
  return result;
};

function trimmedLeft(text: string, cutset: ReadonlySet<string>): string {
  const points = [...text];
  const start = points.findIndex((point) => !cutset.has(point));
  return start === -1 ? '' : points.slice(start).join('');
}

function trimmedRight(text: string, cutset: ReadonlySet<string>): string {
  const points = [...text];
  const end = points.findLastIndex((point) => !cutset.has(point));
  return points.slice(0, end + 1).join('');
}

/** Go's unicode.IsSpace. */
const SPACE =
  '[\\t\\n\\v\\f\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]';
const SPACE_START = new RegExp(`^${SPACE}+`);
const SPACE_ONE = new RegExp(SPACE);

function trimmedSpace(text: string): string {
  let end = text.length;
  for (; end > 0 && SPACE_ONE.test(text.charAt(end - 1)); ) end--;
  return text.slice(0, end).replace(SPACE_START, '');
}

/** Go maps one code point to one, JavaScript some to more. */
const mapped = (text: string, map: (point: string) => string) => {
  let result = '';
  for (const point of text) {
    const changed = map(point);
    result += codePoints(changed) === 1 ? changed : point;
  }
  return result;
};

/** `\u0130` is the one letter whose single lower-case letter is not what JavaScript gives. */
const lowered = (text: string) =>
  mapped(text, (point) => (point === '\u0130' ? 'i' : point.toLowerCase()));

/** Parts of a template string: texts, and sets of at most one value. */
const template: Builtin = ([parts], { charge }) => {
  if (!isArray(parts)) return undefined;
  let text = '';
  for (const part of parts) {
    if (isSet(part) && part.size > 1) return undefined;
    const [value] = isSet(part) ? part : [part];
    if (value === undefined) text += '<undefined>';
    else text += typeof value === 'string' ? value : goString(value);
  }
  charge(text.length * CHARACTER_STEPS);
  return text;
};

export const TEXT_BUILTINS: Readonly<Record<string, Builtin>> = {
  concat: paid(concat),
  indexof: paid(indexOf),
  substring: paid(substring),
  lower: paid(ofText(lowered)),
  upper: paid(ofText((text) => mapped(text, (point) => point.toUpperCase()))),
  contains: paid(ofTexts((text, part) => text.includes(part))),
  startswith: paid(ofTexts((text, part) => text.startsWith(part))),
  endswith: paid(ofTexts((text, part) => text.endsWith(part))),
  'strings.reverse': paid(ofText((text) => [...text].toReversed().join(''))),
  split: paid(split),
  replace: paid(replace),
  'strings.replace_n': paid(replaceMany),
  trim: paid(ofTexts((text, cut) => trimmedRight(trimmedLeft(text, new Set(cut)), new Set(cut)))),
  trim_left: paid(ofTexts((text, cut) => trimmedLeft(text, new Set(cut)))),
  trim_right: paid(ofTexts((text, cut) => trimmedRight(text, new Set(cut)))),
  trim_prefix: paid(
    ofTexts((text, prefix) => (text.startsWith(prefix) ? text.slice(prefix.length) : text)),
  ),
  trim_suffix: paid(
    ofTexts((text, suffix) =>
      text.endsWith(suffix) ? text.slice(0, text.length - suffix.length) : text,
    ),
  ),
  trim_space: paid(ofText(trimmedSpace)),
  'internal.template_string': paid(template),
};
