/**
 * Host builtins on encodings and digests: hex, URL query, base64url without padding, hashes and HMAC. HMAC
 * comparison takes constant time. Pure.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { type Builtin, ofText, ofTexts } from './builtin.ts';
import type { RegoValue } from './rego-value.ts';

const hashed = (algorithm: string) =>
  ofText((text) => createHash(algorithm).update(text).digest('hex'));

const keyed = (algorithm: string) =>
  ofTexts((text, key) => createHmac(algorithm, key).update(text).digest('hex'));

/** Go's url.QueryEscape: all but letters, digits and `-_.~` as UTF-8 bytes; a space is `+`. */
const queryEscape = (text: string) =>
  encodeURIComponent(text.toWellFormed())
    .replace(/[!'()*]/g, (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%20', '+');

/** Null when a `%` is not followed by two hex digits. Bytes that are not UTF-8 become U+FFFD. */
function queryUnescape(text: string): string | null {
  if (/%(?![0-9a-fA-F]{2})/.test(text)) return null;
  const spaced = text.replaceAll('+', ' ');
  return spaced.replace(/(?:%[0-9a-fA-F]{2})+/g, (run) =>
    Buffer.from(run.replaceAll('%', ''), 'hex').toString(),
  );
}

/** A string, or an array or set of strings. */
function queryValues(value: RegoValue): readonly string[] | null {
  if (typeof value === 'string') return [value];
  if (!Array.isArray(value) && !(value instanceof Set)) return null;
  const items = [...(value as Iterable<RegoValue>)];
  return items.every((item) => typeof item === 'string') ? items : null;
}

const encodeObject: Builtin = ([object]) => {
  if (!(object instanceof Map)) return undefined;
  const pairs: (readonly [string, readonly string[]])[] = [];
  for (const [key, value] of object as ReadonlyMap<RegoValue, RegoValue>) {
    const values = queryValues(value);
    if (typeof key !== 'string' || values === null) return undefined;
    pairs.push([key, values]);
  }
  pairs.sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return pairs
    .flatMap(([key, values]) => values.map((value) => `${queryEscape(key)}=${queryEscape(value)}`))
    .join('&');
};

const decodeObject = ofText((query) => {
  const object = new Map<RegoValue, string[]>();
  for (const part of query.split('&')) {
    if (part === '') continue;
    if (part.includes(';')) return undefined;
    const equals = part.indexOf('=');
    const key = queryUnescape(equals === -1 ? part : part.slice(0, equals));
    const value = queryUnescape(equals === -1 ? '' : part.slice(equals + 1));
    if (key === null || value === null) return undefined;
    const values = object.get(key);
    if (values === undefined) object.set(key, [value]);
    else values.push(value);
  }
  return object;
});

const hexDecode = ofText((text) =>
  /^(?:[0-9a-fA-F]{2})*$/.test(text) ? Buffer.from(text, 'hex').toString() : undefined,
);

const hmacEqual = ofTexts((a, b) => {
  const [x, y] = [Buffer.from(a), Buffer.from(b)];
  return x.length === y.length && timingSafeEqual(x, y);
});

export const ENCODING_BUILTINS: Readonly<Record<string, Builtin>> = {
  'hex.encode': ofText((text) => Buffer.from(text).toString('hex')),
  'hex.decode': hexDecode,
  'urlquery.encode': ofText(queryEscape),
  'urlquery.decode': ofText((text) => queryUnescape(text) ?? undefined),
  'urlquery.encode_object': encodeObject,
  'urlquery.decode_object': decodeObject,
  'base64url.encode_no_pad': ofText((text) => Buffer.from(text).toString('base64url')),
  'crypto.md5': hashed('md5'),
  'crypto.sha1': hashed('sha1'),
  'crypto.sha256': hashed('sha256'),
  'crypto.hmac.md5': keyed('md5'),
  'crypto.hmac.sha1': keyed('sha1'),
  'crypto.hmac.sha256': keyed('sha256'),
  'crypto.hmac.sha512': keyed('sha512'),
  'crypto.hmac.equal': hmacEqual,
};
