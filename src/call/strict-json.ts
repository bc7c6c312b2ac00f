/**
 * Strict JSON (RFC 8259 with the I-JSON limits of RFC 7493): a text that two parsers could read
 * differently is refused, so policy and tool see one value. The bytes are the agent's and trusted
 * for nothing. The platform parser makes the value; a scan beside it bounds depth, member count and
 * numbers; counting members finds duplicate keys. Pure.
 */
import type { ReasonCode } from '../decision/reason.ts';
import type { Refused } from './refused.ts';
import { refuse } from './refused.ts';
import type { Json } from './tool-call.ts';

/** Deeper than any tool call seen, far below what makes a recursive parser fail. */
export const JSON_DEPTH_MAX = 64;
/** Bounds the work of policy on hash maps whose keys the agent chooses. */
export const JSON_MEMBERS_MAX = 10_000;

export type StrictJson = { readonly ok: true; readonly value: Json } | Refused;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const QUOTE = 0x22;
const MINUS = 0x2d;
const COLON = 0x3a;
const BACKSLASH = 0x5c;

/**
 * Parses one JSON text. An own property `__proto__` stays an own property.
 * @returns `call.bad_utf8`, `call.malformed`, `call.duplicate_key`, `call.too_deep`,
 * `call.imprecise_number` or `call.too_large` (more than JSON_MEMBERS_MAX members) when not ok.
 */
export function parseStrictJson(bytes: Uint8Array): StrictJson {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    return refuse('call.bad_utf8', 'the JSON text is not UTF-8');
  }
  if (text.charCodeAt(0) === 0xfeff) return refuse('call.malformed', 'byte order mark before JSON');
  const scan = scanned(text);
  if (typeof scan === 'string') return refuse(scan, DETAIL[scan] ?? scan);
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch {
    return refuse('call.malformed', 'the text is not JSON');
  }
  if (members(value) !== scan) return refuse('call.duplicate_key', 'a key stands twice');
  if (text.includes('\\u') && !wellFormed(value)) {
    return refuse('call.malformed', 'a string holds a lone surrogate');
  }
  return { ok: true, value };
}

const DETAIL: Partial<Record<ReasonCode, string>> = {
  'call.too_deep': `nested more than ${JSON_DEPTH_MAX} levels deep`,
  'call.too_large': `more than ${JSON_MEMBERS_MAX} object members`,
  'call.imprecise_number': 'a number has no exact double or is beyond 2^53-1',
};

/**
 * Counts the member colons outside strings; a reason code when a bound is passed. Says nothing
 * about syntax.
 */
function scanned(text: string): number | ReasonCode {
  let depth = 0;
  let colons = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      at = stringEnd(text, at);
    } else if (code === COLON) {
      if (++colons > JSON_MEMBERS_MAX) return 'call.too_large';
    } else if (code === MINUS || (code >= 0x30 && code <= 0x39)) {
      const end = numberEnd(text, at);
      if (!exact(text, at, end)) return 'call.imprecise_number';
      at = end - 1;
    } else if (code === 0x7b || code === 0x5b) {
      if (++depth > JSON_DEPTH_MAX) return 'call.too_deep';
    } else if (code === 0x7d || code === 0x5d) {
      depth--;
    }
  }
  return colons;
}

/** Index of the closing quote of the string that opens at `start`, or the end of the text. */
function stringEnd(text: string, start: number): number {
  for (let at = start + 1; ; at++) {
    at = text.indexOf('"', at);
    if (at === -1) return text.length;
    let slashes = 0;
    while (text.charCodeAt(at - 1 - slashes) === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return at;
  }
}

function numberEnd(text: string, start: number): number {
  let at = start + 1;
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at);
    const partOfNumber =
      (code >= 0x30 && code <= 0x39) ||
      code === 0x2e || // .
      code === 0x2b || // +
      code === MINUS ||
      (code | 0x20) === 0x65; // e, E
    if (!partOfNumber) break;
  }
  return at;
}

/** A decimal of at most 15 significant digits always survives the way through a double. */
const SHORT_DIGITS = 15;

function exact(text: string, start: number, end: number): boolean {
  if (end - start <= SHORT_DIGITS && !hasExponent(text, start, end)) return true;
  const lexeme = text.slice(start, end);
  const value = Number(lexeme);
  if (Number.isNaN(value)) return true; // not a number at all: the parser says so
  if (Math.abs(value) > Number.MAX_SAFE_INTEGER) return false;
  return sameDecimal(lexeme, String(value));
}

function hasExponent(text: string, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if ((text.charCodeAt(at) | 0x20) === 0x65) return true;
  return false;
}

/** True when two decimal literals name the same rational number. */
function sameDecimal(left: string, right: string): boolean {
  const a = decimal(left);
  const b = decimal(right);
  return a.digits === b.digits && (a.digits === '' || (a.sign === b.sign && a.power === b.power));
}

/**
 * A literal as sign * 0.digits * 10^power without zeros at either end of the digits; '' is zero.
 */
function decimal(literal: string): { sign: string; digits: string; power: number } {
  const sign = literal.startsWith('-') ? '-' : '';
  const [mantissa = '', exponent = '0'] = literal.slice(sign.length).toLowerCase().split('e');
  const [whole = '', fraction = ''] = mantissa.split('.');
  const all = whole + fraction;
  let first = 0;
  while (first < all.length && all[first] === '0') first++;
  let last = all.length;
  while (last > first && all[last - 1] === '0') last--;
  return {
    sign,
    digits: all.slice(first, last),
    power: whole.length - first + Number(exponent),
  };
}

/**
 * Distinct members in the whole value. Fewer than colons in the text means that a key stood twice.
 */
function members(value: Json): number {
  if (value === null || typeof value !== 'object') return 0;
  if (Array.isArray(value)) {
    let sum = 0;
    for (const item of value as readonly Json[]) sum += members(item);
    return sum;
  }
  const items = Object.values(value);
  let sum = items.length;
  for (const item of items) sum += members(item);
  return sum;
}

function wellFormed(value: Json): boolean {
  if (typeof value === 'string') return value.isWellFormed();
  if (value === null || typeof value !== 'object') return true;
  if (Array.isArray(value)) return value.every(wellFormed);
  return Object.entries(value).every(([key, item]) => key.isWellFormed() && wellFormed(item));
}
