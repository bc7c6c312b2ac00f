/**
 * Rego values outside of the engine: JSON plus sets, objects with any key, and integers of any size. Reads the text
 * that `opa_value_dump` writes and JSON files, and writes text that `opa_value_parse` reads. Duplicate keys, depth
 * and trailing text are errors, so a value has one reading only. Pure.
 */

/** Integers beyond 2^53 are bigint, so that none is rounded. */
export type RegoValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly RegoValue[]
  | RegoSet
  | RegoObject;
export type RegoSet = ReadonlySet<RegoValue>;
export type RegoObject = ReadonlyMap<RegoValue, RegoValue>;

export class RegoSyntaxError extends Error {
  constructor(expected: string, offset: number) {
    super(`expected ${expected} at character ${offset}`);
    this.name = 'RegoSyntaxError';
  }
}

/** Deeper text is refused: recursion here and in the engine stays far from the end of the stack. */
const DEPTH_MAX = 128;

/** More than any key of a certificate has; conversion takes more than linear time. */
const INTEGER_DIGITS_MAX = 10_000;

const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;

/** `json` refuses sets and keys that are not strings; `loose-json` also reads what Go reads: the last key wins. */
export type RegoDialect = 'rego' | 'json' | 'loose-json';

/** @throws RegoSyntaxError */
export function parseRego(text: string, dialect: RegoDialect = 'rego'): RegoValue {
  const reader = new Reader(text, dialect);
  const value = reader.value(0);
  reader.space();
  if (reader.at !== text.length) throw new RegoSyntaxError('nothing more', reader.at);
  return value;
}

/** Owns the position in one text. */
class Reader {
  readonly #text: string;
  readonly #rego: boolean;
  readonly #loose: boolean;
  at = 0;

  constructor(text: string, dialect: RegoDialect) {
    this.#text = text;
    this.#rego = dialect === 'rego';
    this.#loose = dialect === 'loose-json';
  }

  space(): void {
    for (; this.at < this.#text.length; this.at++) {
      const code = this.#text.charCodeAt(this.at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
    }
  }

  value(depth: number): RegoValue {
    if (depth > DEPTH_MAX) throw new RegoSyntaxError(`at most ${DEPTH_MAX} levels`, this.at);
    this.space();
    switch (this.#text.charAt(this.at)) {
      case '"':
        return this.#string();
      case '[':
        this.at++;
        return this.#take(']') ? [] : this.#items(']', depth, this.value(depth + 1));
      case '{':
        return this.#braces(depth);
      case 't':
        return this.#word('true', true);
      case 'f':
        return this.#word('false', false);
      case 'n':
        return this.#word('null', null);
      case 's':
        if (this.#rego) return this.#word('set()', new Set<RegoValue>());
        throw new RegoSyntaxError('a value', this.at);
      default:
        return this.#number();
    }
  }

  #word<T>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.at)) throw new RegoSyntaxError('a value', this.at);
    this.at += word.length;
    return value;
  }

  #take(character: string): boolean {
    this.space();
    if (this.#text[this.at] !== character) return false;
    this.at++;
    return true;
  }

  /** The items after the first one, up to the closing character. */
  #items(close: string, depth: number, first: RegoValue): RegoValue[] {
    const items = [first];
    while (!this.#take(close)) {
      if (!this.#take(',')) throw new RegoSyntaxError(`, or ${close}`, this.at);
      items.push(this.value(depth + 1));
    }
    return items;
  }

  #braces(depth: number): RegoSet | RegoObject {
    this.at++;
    const object = new Map<RegoValue, RegoValue>();
    if (this.#take('}')) return object;
    while (true) {
      this.space();
      if (!this.#rego && this.#text[this.at] !== '"') throw new RegoSyntaxError('a key', this.at);
      const key = this.value(depth + 1);
      if (!this.#take(':')) {
        if (object.size > 0 || !this.#rego) throw new RegoSyntaxError(':', this.at);
        return new Set(this.#items('}', depth, key));
      }
      if (object.has(key) && !this.#loose)
        throw new RegoSyntaxError(`no second ${JSON.stringify(key)}`, this.at);
      object.set(key, this.value(depth + 1));
      if (this.#take('}')) return object;
      if (!this.#take(',')) throw new RegoSyntaxError(', or }', this.at);
    }
  }

  #number(): number | bigint {
    NUMBER.lastIndex = this.at;
    const match = NUMBER.exec(this.#text);
    if (match === null) throw new RegoSyntaxError('a value', this.at);
    this.at = NUMBER.lastIndex;
    const number = Number(match[0]);
    const integer = match[1] === undefined && match[2] === undefined;
    if (integer && match[0].length <= INTEGER_DIGITS_MAX) {
      return Number.isSafeInteger(number) ? number : BigInt(match[0]);
    }
    if (!Number.isFinite(number)) throw new RegoSyntaxError('a number below 1.8e308', this.at);
    return number;
  }

  #string(): string {
    const start = this.at;
    let escaped = false;
    let at = start + 1;
    for (; this.#text[at] !== '"'; at++) {
      const code = this.#text.charCodeAt(at);
      if (!(code >= 0x20)) throw new RegoSyntaxError('a string without control characters', at);
      if (code !== 0x5c) continue;
      escaped = true;
      at++;
    }
    this.at = at + 1;
    if (!escaped) return this.#text.slice(start + 1, at);
    const value = unescaped(this.#text.slice(start, this.at), start);
    return this.#loose ? value.toWellFormed() : value;
  }
}

function unescaped(literal: string, offset: number): string {
  try {
    return JSON.parse(literal) as string;
  } catch {
    throw new RegoSyntaxError('a string with JSON escapes', offset);
  }
}

/** Text for `opa_value_parse`; JSON when the value holds no sets and only string keys. */
export function renderRego(value: RegoValue): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (value === null || typeof value !== 'object') return String(value);
  let text = '';
  if (value instanceof Map) {
    for (const [key, item] of value as RegoObject) {
      text += `${text === '' ? '' : ','}${renderRego(key)}:${renderRego(item)}`;
    }
    return `{${text}}`;
  }
  for (const item of value as Iterable<RegoValue>) {
    text += text === '' ? renderRego(item) : `,${renderRego(item)}`;
  }
  if (Array.isArray(value)) return `[${text}]`;
  return text === '' ? 'set()' : `{${text}}`;
}

const RANKS = ['null', 'boolean', 'number', 'string', 'array', 'object', 'set'] as const;

export function regoType(value: RegoValue): (typeof RANKS)[number] {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (value instanceof Map) return 'object';
  if (value instanceof Set) return 'set';
  if (typeof value === 'bigint') return 'number';
  return typeof value as 'boolean' | 'number' | 'string';
}

/** OPA's order over all values: null, booleans, numbers, strings (by UTF-8 bytes), arrays, objects, sets. */
export function compareRego(a: RegoValue, b: RegoValue): number {
  const type = regoType(a);
  const rank = RANKS.indexOf(type) - RANKS.indexOf(regoType(b));
  if (rank !== 0) return rank;
  switch (type) {
    case 'null':
      return 0;
    case 'string':
      return Buffer.compare(Buffer.from(a as string), Buffer.from(b as string));
    case 'array':
      return compareLists(a as readonly RegoValue[], b as readonly RegoValue[]);
    case 'set':
      return compareLists(sortedRego(a as RegoSet), sortedRego(b as RegoSet));
    case 'object':
      return compareObjects(a as RegoObject, b as RegoObject);
    case 'boolean':
    case 'number': {
      const [x, y] = [a as number, b as number]; // JavaScript compares booleans, numbers and bigints alike
      return x < y ? -1 : x > y ? 1 : 0;
    }
  }
}

export const sortedRego = (values: Iterable<RegoValue>) => [...values].sort(compareRego);

function compareLists(a: readonly RegoValue[], b: readonly RegoValue[]): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const order = compareRego(a[i] as RegoValue, b[i] as RegoValue);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

/** Key by key in the order of keys, each with its value. */
function compareObjects(a: RegoObject, b: RegoObject): number {
  const entries = (object: RegoObject) =>
    sortedRego(object.keys()).flatMap((key) => [key, object.get(key) as RegoValue]);
  return compareLists(entries(a), entries(b));
}

/** One text for equal values, another for every other value: a key for comparing. Not for the engine. */
export function canonicalRego(value: RegoValue): string {
  if (value === null || typeof value !== 'object') return renderRego(value);
  if (Array.isArray(value)) return `[${value.map(canonicalRego).join(',')}]`;
  if (value instanceof Set) return `set(${[...value].map(canonicalRego).sort().join(',')})`;
  const entries = [...(value as RegoObject)];
  return `{${entries
    .map(([key, item]) => `${canonicalRego(key)}:${canonicalRego(item)}`)
    .sort()
    .join(',')}}`;
}
