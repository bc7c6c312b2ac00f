/**
 * Canonical JSON text (RFC 8785, JCS) of values that are already JSON. Total where the specification is not: a lone
 * surrogate becomes U+FFFD, because an entry that cannot be written would let a caller go unrecorded. Pure.
 */
import type { Json, JsonObject } from '../call/tool-call.ts';

/** Deeper values are cut to null; what comes off the wire is at most 64 levels deep. */
const DEPTH_MAX = 128;

export function canonicalText(value: Json, depth = 0): string {
  if (typeof value === 'string') return quoted(value);
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (depth >= DEPTH_MAX) return 'null';
  if (Array.isArray(value)) {
    return `[${(value as readonly Json[]).map((item) => canonicalText(item, depth + 1)).join(',')}]`;
  }
  return objectText(value as JsonObject, depth);
}

function objectText(object: JsonObject, depth: number): string {
  let text = '';
  for (const key of Object.keys(object).sort()) {
    const value = object[key];
    if (value === undefined) continue;
    text += `${text === '' ? '' : ','}${quoted(key)}:${canonicalText(value, depth + 1)}`;
  }
  return `{${text}}`;
}

/** A JSON string; never longer than six bytes for each UTF-16 unit. */
export const quoted = (text: string): string => JSON.stringify(text.toWellFormed());

/** Does JSON.stringify give the canonical text? True when keys stand in order and no text has a lone surrogate. */
export function isInOrder(value: unknown): boolean {
  if (typeof value === 'string') return value.isWellFormed();
  if (value === null || typeof value !== 'object') return true;
  if (Array.isArray(value)) return value.every(isInOrder);
  let previous = '';
  for (const key in value) {
    if (key < previous || !key.isWellFormed()) return false;
    previous = key;
    if (!isInOrder((value as Record<string, unknown>)[key])) return false;
  }
  return true;
}

/**
 * Is this exactly the canonical text of the value parsed from it? Given `value = JSON.parse(text)`, equality with
 * its serialisation settles white space, escapes, numbers and repeated keys; what is left is the order of keys.
 */
export function isCanonical(text: string, value: unknown): boolean {
  const simple = !text.includes('\\ud') && hasSortedKeys(value);
  return text === (simple ? JSON.stringify(value) : canonicalText(value as Json));
}

function hasSortedKeys(value: unknown): boolean {
  if (Array.isArray(value)) {
    for (const item of value) {
      if (item !== null && typeof item === 'object' && !hasSortedKeys(item)) return false;
    }
    return true;
  }
  if (value === null || typeof value !== 'object') return true;
  let previous = '';
  for (const key in value) {
    if (key < previous) return false;
    previous = key;
    const child = (value as Record<string, unknown>)[key];
    if (child !== null && typeof child === 'object' && !hasSortedKeys(child)) return false;
  }
  return true;
}
