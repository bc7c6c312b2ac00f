/**
 * YAML as OPA reads and writes it: the rules of YAML 1.1 for plain words (`yes` is true), only the first document,
 * the last of two equal keys, and the same choice of quotes. Pure.
 */
import { parseAllDocuments, type ScalarTag, type Tags } from 'yaml';
import { isArray, isObject } from './builtin.ts';
import type { RegoObject, RegoValue } from './rego-value.ts';

const STEPS_PER_CHARACTER = 3000;
const ALIASES_MAX = 100;
const DEPTH_MAX = 100;

/** Of YAML 1.1 only what Go's library has: no moments, no numbers on base 60, no sets. */
const LEFT_OUT = /(?:timestamp|omap|pairs|set|binary)$/;

/** `0o10`, which Go's library has from YAML 1.2. */
const OCTAL: ScalarTag = {
  identify: () => false,
  default: true,
  tag: 'tag:yaml.org,2002:int',
  test: /^[-+]?0o[0-7_]+$/,
  resolve: (text) => {
    const digits = BigInt(`0o${text.replace(/^[-+]?0o/, '').replaceAll('_', '') || '0'}`);
    return text.startsWith('-') ? -digits : digits;
  },
};

const knownTags = (tags: Tags): Tags =>
  [OCTAL, ...tags].filter((tag) => {
    if (typeof tag === 'string') return true;
    const { format } = tag as ScalarTag;
    return !LEFT_OUT.test(tag.tag) && format !== 'TIME';
  });

/** Undefined when the text is no YAML, or holds what JSON cannot. */
export function parseYaml(text: string, charge: (steps: number) => void): RegoValue | undefined {
  charge(text.length * STEPS_PER_CHARACTER);
  const documents = parseAllDocuments(text, {
    version: '1.1',
    customTags: knownTags,
    intAsBigInt: true,
    uniqueKeys: false,
    strict: false,
    prettyErrors: false,
    logLevel: 'silent',
  });
  const [document] = documents;
  if (document === undefined || !('errors' in document)) return null;
  if (document.errors.length > 0) return undefined;
  let value: unknown;
  try {
    value = document.toJS({ mapAsMap: true, maxAliasCount: ALIASES_MAX });
  } catch (error) {
    if (error instanceof RangeError) throw error; // of the stack
    return undefined; // too many aliases, or a merge with no map
  }
  return fromYaml(value, 0);
}

function fromYaml(value: unknown, depth: number): RegoValue | undefined {
  if (depth > DEPTH_MAX) return undefined;
  if (value === null || value === undefined) return null;
  if (typeof value === 'string') return value.toWellFormed();
  if (typeof value === 'boolean') return value;
  if (typeof value === 'bigint') {
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined;
  if (Array.isArray(value)) {
    const items = value.map((item) => fromYaml(item, depth + 1));
    return items.every((item) => item !== undefined) ? items : undefined;
  }
  if (!(value instanceof Map)) return undefined;
  const object = new Map<RegoValue, RegoValue>();
  for (const [key, item] of value as ReadonlyMap<unknown, unknown>) {
    const own = fromYaml(item, depth + 1);
    if (own === undefined || typeof key === 'object') return undefined;
    object.set(String(key), own);
  }
  return object;
}

/** @param value of JSON only. */
export function renderYaml(value: RegoValue): string {
  return `${block(value, 0, false).replace(/^\n/, '')}\n`;
}

const isScalar = (value: RegoValue) =>
  !((isArray(value) && value.length > 0) || (isObject(value) && value.size > 0));

/** A collection starts on a new line, unless it is the item of a list. */
function block(value: RegoValue, indent: number, inList: boolean): string {
  const margin = `\n${' '.repeat(indent)}`;
  if (isScalar(value)) return scalar(value, indent);
  if (isArray(value)) {
    const items = value.map((item) => `- ${block(item, indent + 2, true)}`);
    return (inList ? '' : margin) + items.join(margin);
  }
  const object = value as RegoObject;
  const keys = ([...object.keys()] as string[]).sort(naturally);
  const members = keys.map((key) => {
    const item = object.get(key) as RegoValue;
    const name = quotedKey(key);
    if (isScalar(item)) return `${name}: ${scalar(item, indent + 2)}`;
    // A list stands as far left as the key it belongs to.
    return `${name}:${block(item, isArray(item) ? indent : indent + 2, false)}`;
  });
  return (inList ? '' : margin) + members.join(margin);
}

/** Go's library puts `a2` before `a10`. */
function naturally(a: string, b: string): number {
  const parts = (text: string) => text.match(/[0-9]+|[^0-9]/gu) ?? [];
  const [x, y] = [parts(a), parts(b)];
  for (let i = 0; i < Math.min(x.length, y.length); i++) {
    const [p, q] = [x[i] as string, y[i] as string];
    if (p === q) continue;
    const numbers = /^[0-9]/.test(p) && /^[0-9]/.test(q);
    if (numbers && BigInt(p) !== BigInt(q)) return BigInt(p) < BigInt(q) ? -1 : 1;
    const letters = [p, q].map((part) => /\p{L}/u.test(part));
    if (letters[0] !== letters[1]) return letters[0] === true ? 1 : -1;
    return p < q ? -1 : 1;
  }
  return x.length - y.length;
}

function scalar(value: RegoValue, indent: number): string {
  if (isArray(value)) return '[]';
  if (isObject(value)) return '{}';
  if (typeof value !== 'string') return String(value);
  if (!value.includes('\n')) return inline(value);
  return SPECIAL.test(value.replaceAll('\n', '')) ? double(value) : literal(value, indent);
}

const quotedKey = (key: string) => (key.includes('\n') ? double(key) : inline(key));

/** Words that would be read as something else. */
const RESOLVED =
  /^(?:|~|null|Null|NULL|y|Y|yes|Yes|YES|on|On|ON|n|N|no|No|NO|off|Off|OFF|true|True|TRUE|false|False|FALSE|<<|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$/;
const NUMERIC =
  /^(?:[-+]?(?:\.[0-9_]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?0b[01_]+|[-+]?0x[0-9a-fA-F_]+|[-+]?0o?[0-7_]+|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ].*)?)$/;
const SPECIAL = /[^\n\x20-\x7e\x85\u00a0-\ud7ff\ue000-\ufefe\uff00-\ufffd]/u;
const NOT_PLAIN = /^[#,[\]{}&*!|>'"%@`]|^[?:-](?: |$)|^(?:---|\.\.\.)|: |:$| #|^ | $/;

function inline(text: string): string {
  if (RESOLVED.test(text) || NUMERIC.test(text)) return double(text);
  if (SPECIAL.test(text)) return double(text);
  return NOT_PLAIN.test(text) ? `'${text.replaceAll("'", "''")}'` : text;
}

const double = (text: string) =>
  `"${text.replace(/["\\]|[^\x20-\x7e\u00a0-\ud7ff\ue000-\ufefe\uff00-\ufffd]/gu, escaped)}"`;

const ESCAPES: Readonly<Record<string, string>> = {
  '\0': '\\0',
  '\x07': '\\a',
  '\b': '\\b',
  '\t': '\\t',
  '\n': '\\n',
  '\v': '\\v',
  '\f': '\\f',
  '\r': '\\r',
  '\x1b': '\\e',
  '"': '\\"',
  '\\': '\\\\',
};

const escaped = (mark: string) => {
  const hex = (mark.codePointAt(0) as number).toString(16).toUpperCase();
  if (hex.length > 4) return `\\U${hex.padStart(8, '0')}`;
  return (
    ESCAPES[mark] ?? (hex.length > 2 ? `\\u${hex.padStart(4, '0')}` : `\\x${hex.padStart(2, '0')}`)
  );
};

function literal(text: string, indent: number): string {
  const hint = /^[ \n]/.test(text) ? '2' : '';
  const chomp = !text.endsWith('\n') ? '-' : /(?:^|\n)\n$/.test(text) ? '+' : '';
  const body = text.endsWith('\n') ? text.slice(0, -1) : text;
  const margin = ' '.repeat(Math.max(2, indent));
  const lines = body.split('\n').map((line) => (line === '' ? '' : margin + line));
  return `|${hint}${chomp}\n${lines.join('\n')}`;
}
