/**
 * Values of the plan engine: Rego values whose sets and objects find members by content, not by identity. Large whole
 * numbers keep the form they came in, because it shows in texts: `1e+21` is 1e+21. They are Map and Set still, so host
 * builtins take them as they are. Pure.
 */
import {
  canonicalRego,
  type RegoObject,
  type RegoSet,
  type RegoValue,
  sortedRego,
} from '../decision/rego-value.ts';
import { decimalOf, numberOf } from './decimal.ts';

/** Takes steps from the budget; throws when it is used up. */
export type Charge = (steps: number) => void;

/** The value is its own key: texts, booleans, null and all numbers but large whole ones, which have two forms. */
const isOwnKey = (value: RegoValue) => {
  if (typeof value === 'number') return Number.isSafeInteger(value) || !Number.isInteger(value);
  return value === null || (typeof value !== 'object' && typeof value !== 'bigint');
};

const keyText = (value: RegoValue) =>
  typeof value === 'number' || typeof value === 'bigint'
    ? String(numberOf(decimalOf(value)))
    : canonicalRego(value);

/** A set by content. Items must not change after they are added. */
export class ValueSet extends Set<RegoValue> {
  /** Items that are composite, by their canonical text. */
  readonly #byText = new Map<string, RegoValue>();
  #sorted: readonly RegoValue[] | null = null;

  override add(value: RegoValue): this {
    this.#sorted = null;
    if (isOwnKey(value)) return super.add(value);
    const text = keyText(value);
    if (this.#byText.has(text)) return this;
    this.#byText.set(text, value);
    return super.add(value);
  }

  override has(value: RegoValue): boolean {
    return isOwnKey(value) ? super.has(value) : this.#byText.has(keyText(value));
  }

  override delete(value: RegoValue): boolean {
    this.#sorted = null;
    if (isOwnKey(value)) return super.delete(value);
    const text = keyText(value);
    const held = this.#byText.get(text);
    this.#byText.delete(text);
    return held !== undefined && super.delete(held);
  }

  /** In OPA's order. */
  sorted(): readonly RegoValue[] {
    this.#sorted ??= sortedRego(this);
    return this.#sorted;
  }
}

/** An object by content of its keys. Keys must not change after they are set. */
export class ValueObject extends Map<RegoValue, RegoValue> {
  readonly #byText = new Map<string, RegoValue>();
  #sorted: readonly RegoValue[] | null = null;

  #key(key: RegoValue): RegoValue | undefined {
    return isOwnKey(key) ? key : this.#byText.get(keyText(key));
  }

  override get(key: RegoValue): RegoValue | undefined {
    const held = this.#key(key);
    return held === undefined ? undefined : super.get(held);
  }

  override has(key: RegoValue): boolean {
    const held = this.#key(key);
    return held !== undefined && super.has(held);
  }

  override set(key: RegoValue, value: RegoValue): this {
    this.#sorted = null;
    if (isOwnKey(key)) return super.set(key, value);
    const text = keyText(key);
    const held = this.#byText.get(text) ?? key;
    this.#byText.set(text, held);
    return super.set(held, value);
  }

  override delete(key: RegoValue): boolean {
    this.#sorted = null;
    const held = this.#key(key);
    if (held === undefined) return false;
    if (!isOwnKey(key)) this.#byText.delete(keyText(key));
    return super.delete(held);
  }

  /** Keys in OPA's order. */
  sortedKeys(): readonly RegoValue[] {
    this.#sorted ??= sortedRego(this.keys());
    return this.#sorted;
  }
}

export function setOf(items: Iterable<RegoValue>): ValueSet {
  const set = new ValueSet();
  for (const item of items) set.add(item);
  return set;
}

/**
 * The same value as the engine holds values. Values that it holds already are taken as they are.
 * @param charge is called once per item on the way.
 */
export function adopted(value: RegoValue, charge: Charge): RegoValue {
  charge(1);
  if (typeof value === 'bigint') return numberOf(decimalOf(value));
  if (value === null || typeof value !== 'object') return value;
  if (value instanceof ValueSet || value instanceof ValueObject) return value;
  if (Array.isArray(value)) return value.map((item: RegoValue) => adopted(item, charge));
  if (value instanceof Set) {
    const set = new ValueSet();
    for (const item of value as RegoSet) set.add(adopted(item, charge));
    return set;
  }
  const object = new ValueObject();
  for (const [key, item] of value as RegoObject) {
    object.set(adopted(key, charge), adopted(item, charge));
  }
  return object;
}

/** Equality by content; undefined equals only itself. */
export function equalRego(
  a: RegoValue | undefined,
  b: RegoValue | undefined,
  charge: Charge,
): boolean {
  charge(1);
  if (a === b) return true;
  if (a === undefined || b === undefined || isOwnKey(a) || isOwnKey(b)) return false;
  if (typeof a !== 'object' || typeof b !== 'object') return keyText(a) === keyText(b);
  if (Array.isArray(a)) {
    if (!Array.isArray(b) || a.length !== b.length) return false;
    return a.every((item, i) => equalRego(item as RegoValue, b[i] as RegoValue, charge));
  }
  if (a instanceof ValueSet) {
    if (!(b instanceof ValueSet) || a.size !== b.size) return false;
    for (const item of a) {
      charge(1);
      if (!b.has(item)) return false;
    }
    return true;
  }
  if (!(a instanceof ValueObject && b instanceof ValueObject) || a.size !== b.size) return false;
  for (const [key, item] of a) {
    if (!b.has(key) || !equalRego(item, b.get(key), charge)) return false;
  }
  return true;
}

/** What `value[key]` is. */
export function memberOf(
  value: RegoValue | undefined,
  key: RegoValue | undefined,
): RegoValue | undefined {
  if (value === undefined || key === undefined) return undefined;
  if (value instanceof ValueObject) return value.get(key);
  if (Array.isArray(value)) {
    return typeof key === 'number' && Number.isInteger(key) ? value[key] : undefined;
  }
  return value instanceof ValueSet && value.has(key) ? key : undefined;
}

/** Keys and values in OPA's order: positions of an array, keys of an object, items of a set. */
export function entriesOf(value: RegoValue | undefined): Iterable<readonly [RegoValue, RegoValue]> {
  if (Array.isArray(value)) return value.map((item, i) => [i, item as RegoValue] as const);
  if (value instanceof ValueObject) {
    return value.sortedKeys().map((key) => [key, value.get(key) as RegoValue] as const);
  }
  if (value instanceof ValueSet) return value.sorted().map((item) => [item, item] as const);
  return [];
}

/** How much a value holds: one per item, and one per 16 characters of its texts. */
export function weightOf(value: RegoValue | undefined): number {
  if (typeof value === 'string') return 1 + (value.length >>> 4);
  if (typeof value === 'bigint') return 1 + (value > 2n ** 64n || value < -(2n ** 64n) ? 16 : 0);
  if (value === undefined || value === null || typeof value !== 'object') return 1;
  let weight = 1;
  if (value instanceof Map) {
    for (const [key, item] of value as RegoObject) weight += weightOf(key) + weightOf(item);
    return weight;
  }
  for (const item of value as Iterable<RegoValue>) weight += weightOf(item);
  return weight;
}

/** The value as JSON: a set is a sorted list, a key that is no text is its JSON text, large integers are rounded. */
export function jsonOf(value: RegoValue): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map((item: RegoValue) => jsonOf(item));
  if (value instanceof Set) return sortedRego(value as RegoSet).map(jsonOf);
  const entries = [...(value as RegoObject)].map(
    ([key, item]) => [typeof key === 'string' ? key : jsonKey(key), jsonOf(item)] as const,
  );
  return Object.fromEntries(entries);
}

const jsonKey = (key: RegoValue) =>
  typeof key === 'bigint' ? String(key) : JSON.stringify(jsonOf(key));

/** JSON text with sorted keys, without spaces; large integers in full. */
export function jsonText(value: RegoValue, charge: Charge): string {
  charge(10);
  if (typeof value === 'string') return JSON.stringify(value);
  if (value === null || typeof value !== 'object') return String(value);
  if (value instanceof Map) {
    const object = value as RegoObject;
    const fields = sortedRego(object.keys()).map((key) => {
      const name = typeof key === 'string' ? key : jsonText(key, charge);
      return `${JSON.stringify(name)}:${jsonText(object.get(key) as RegoValue, charge)}`;
    });
    return `{${fields.join(',')}}`;
  }
  const items = Array.isArray(value)
    ? (value as readonly RegoValue[])
    : sortedRego(value as RegoSet);
  return `[${items.map((item) => jsonText(item, charge)).join(',')}]`;
}
