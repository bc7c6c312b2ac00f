/**
 * What OPA hashes when it signs a bundle: of structured files the value and not the bytes, so that white space and the
 * order of keys do not matter; of every other file the bytes. Numbers keep the digits they are written with, keys are
 * in the order of their UTF-8 bytes. A text with two readings (a key twice, half a surrogate pair) has no form. Pure.
 */
import { createHash } from 'node:crypto';
import { renderRego } from '../decision/rego-value.ts';
import { readYaml } from './data.ts';

/** Hashes that a signature may use, by the names OPA gives them. Weaker ones are refused. */
export const HASHES: ReadonlyMap<string, string> = new Map([
  ['SHA-256', 'sha256'],
  ['SHA-384', 'sha384'],
  ['SHA-512', 'sha512'],
  ['SHA-512-256', 'sha512-256'],
]);

const STRUCTURED: ReadonlySet<string> = new Set([
  'data.json',
  'data.yaml',
  'signatures.json',
  '.manifest',
]);
const DEPTH_MAX = 128;

export class HashFormError extends Error {
  override readonly name = 'HashFormError';
}

/**
 * @param algorithm a key of `HASHES`.
 * @returns lower-case hex.
 * @throws HashFormError when a structured file cannot be read; BundleRefused `data_invalid` for broken YAML.
 */
export function hashOfFile(path: string, content: Uint8Array, algorithm = 'SHA-256'): string {
  const name = HASHES.get(algorithm);
  if (name === undefined) throw new RangeError(`no hash ${algorithm}`);
  return createHash(name).update(hashedBytes(path, content)).digest('hex');
}

function hashedBytes(path: string, content: Uint8Array): Uint8Array | string {
  const base = path.slice(path.lastIndexOf('/') + 1);
  if (!STRUCTURED.has(base)) return content;
  const text = textOf(path, content);
  try {
    return structuredForm(text);
  } catch (error) {
    // OPA reads YAML 1.1 here and we read 1.2: where the two differ the hash differs too, and the file is refused.
    if (!(error instanceof HashFormError) || base !== 'data.yaml') throw error;
    return structuredForm(renderRego(readYaml(path, text, content.length)));
  }
}

function textOf(path: string, content: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(content);
  } catch (error) {
    throw new HashFormError(`${path}: found bytes that are no UTF-8`, { cause: error });
  }
}

/**
 * @param text JSON.
 * @throws HashFormError
 */
export function structuredForm(text: string): string {
  const reader = new Reader(text);
  const form = reader.value(0);
  reader.space();
  if (reader.at !== text.length) throw reader.error('nothing more');
  return form;
}

const SPACE = /[ \t\n\r]*/y;
const STRING = /"(?:[^"\\]|\\.)*"/y;
const SCALAR = /true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;

/** Owns the position in one text. */
class Reader {
  readonly #text: string;
  at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  error(expected: string): HashFormError {
    return new HashFormError(`expected ${expected} at character ${this.at}`);
  }

  space(): void {
    this.#match(SPACE);
  }

  value(depth: number): string {
    if (depth > DEPTH_MAX) throw this.error(`at most ${DEPTH_MAX} levels`);
    this.space();
    const first = this.#text[this.at];
    if (first === '{') return this.#object(depth);
    if (first === '[') return this.#array(depth);
    if (first === '"') return quoted(this.#string());
    const scalar = this.#match(SCALAR);
    if (scalar === null) throw this.error('a JSON value');
    return scalar;
  }

  #match(pattern: RegExp): string | null {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.#text)?.[0] ?? null;
    if (found !== null) this.at += found.length;
    return found;
  }

  #take(character: string): boolean {
    this.space();
    if (this.#text[this.at] !== character) return false;
    this.at++;
    return true;
  }

  #string(): string {
    const literal = this.#match(STRING);
    if (literal === null) throw this.error('a string');
    const text = unescaped(literal);
    if (text === null) throw this.error('a string with JSON escapes and whole surrogate pairs');
    return text;
  }

  #array(depth: number): string {
    this.at++;
    const items: string[] = [];
    if (this.#take(']')) return '[]';
    do items.push(this.value(depth + 1));
    while (this.#take(','));
    if (!this.#take(']')) throw this.error(', or ]');
    return `[${items.join(',')}]`;
  }

  #object(depth: number): string {
    this.at++;
    const members = new Map<string, string>();
    if (this.#take('}')) return '{}';
    do {
      this.space();
      const key = this.#string();
      if (members.has(key)) throw this.error(`no second ${JSON.stringify(key)}`);
      if (!this.#take(':')) throw this.error(':');
      members.set(key, this.value(depth + 1));
    } while (this.#take(','));
    if (!this.#take('}')) throw this.error(', or }');
    const keys = [...members.keys()].sort(byBytes);
    return `{${keys.map((key) => `${quoted(key)}:${members.get(key)}`).join(',')}}`;
  }
}

function unescaped(literal: string): string | null {
  try {
    const text = JSON.parse(literal) as string;
    return text.isWellFormed() ? text : null;
  } catch {
    return null;
  }
}

/** UTF-16 sorts characters beyond U+FFFF before some below it; bytes do not. */
const byBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** As Go writes strings without HTML escaping. */
const quoted = (text: string) =>
  JSON.stringify(text).replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029');
