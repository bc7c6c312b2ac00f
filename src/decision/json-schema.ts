/**
 * JSON Schema (drafts 4, 6 and 7 together, as in OPA's library) without anything from elsewhere: only references into
 * the schema itself. Patterns run in linear time and every step charges, because the document may come from the
 * agent. Errors read as those of OPA. Pure.
 */
import { isArray, isNumber, isObject } from './builtin.ts';
import { goJson } from './go-json.ts';
import { SchemaError } from './json-schema-check.ts';
import { matchesFormat } from './json-schema-format.ts';
import { compileRegex, type LinearRegex } from './linear-regex.ts';
import { compareRego, type RegoObject, type RegoValue, regoType } from './rego-value.ts';

type Charge = (steps: number) => void;

export interface SchemaViolation {
  /** As `invalid_type`. */
  readonly type: string;
  readonly field: string;
  readonly description: string;
}

const STEPS_PER_SCHEMA = 5000;
const REFERENCES_MAX = 64;
/** @returns what is wrong with the document; the schema must have been checked. */
export function validate(
  schema: RegoValue,
  document: RegoValue,
  charge: Charge,
): readonly SchemaViolation[] {
  return new Validator(schema, charge).run(schema, document, '(Root)').violations;
}

/** The score says how much fitted: of alternatives that fail, the closest one is reported. */
class Outcome {
  readonly violations: SchemaViolation[] = [];
  score = 0;

  add(type: string, at: string, description: string): void {
    this.violations.push({ type, field: at.replace(/^\(Root\)\./, ''), description });
    this.score--;
  }

  merge({ violations, score }: Outcome): void {
    this.violations.push(...violations);
    this.score += score;
  }

  get valid(): boolean {
    return this.violations.length === 0;
  }
}

const closest = (outcomes: readonly Outcome[]) =>
  outcomes.reduce<Outcome | null>(
    (best, one) => (best === null || one.score > best.score ? one : best),
    null,
  );

class Validator {
  readonly #root: RegoValue;
  readonly #charge: Charge;

  constructor(root: RegoValue, charge: Charge) {
    this.#root = root;
    this.#charge = charge;
  }

  run(schema: RegoValue, value: RegoValue, at: string, references = 0): Outcome {
    this.#charge(STEPS_PER_SCHEMA);
    const outcome = new Outcome();
    if (schema === false) outcome.add('false', at, 'False always fails validation');
    if (!isObject(schema)) return outcome;
    const reference = schema.get('$ref');
    if (typeof reference === 'string') {
      if (references > REFERENCES_MAX) throw new SchemaError('references in a circle');
      return this.run(this.#resolve(reference), value, at, references + 1);
    }
    if (!this.#hasType(schema, value, at, outcome)) return outcome;
    this.#combinations(schema, value, at, outcome);
    if (isObject(value)) this.#object(schema, value, at, outcome);
    if (isArray(value)) this.#array(schema, value, at, outcome);
    if (isNumber(value)) checkNumber(schema, value, at, outcome);
    checkCommon(schema, value, at, outcome, this.#charge);
    if (typeof value === 'string') this.#string(schema, value, at, outcome);
    if (isObject(value)) this.#properties(schema, value, at, outcome);
    outcome.score++;
    return outcome;
  }

  #resolve(reference: string): RegoValue {
    let at: RegoValue | undefined = this.#root;
    for (const part of reference.split('/').slice(1)) {
      const key = decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~');
      at = isArray(at) ? at[Number(key)] : isObject(at) ? at.get(key) : undefined;
    }
    if (at === undefined) throw new SchemaError(`Object has no key of ${reference}`);
    return at;
  }

  #hasType(schema: RegoObject, value: RegoValue, at: string, outcome: Outcome): boolean {
    const type = schema.get('type');
    if (type === undefined) return true;
    const types = isArray(type) ? type : [type];
    const integer = isNumber(value) && Number.isInteger(Number(value));
    const given = integer ? 'integer' : regoType(value);
    if (types.includes(given) || (integer && types.includes('number'))) return true;
    const expected = types.length === 1 ? String(types[0]) : `[${types.join(',')}]`;
    outcome.add('invalid_type', at, `Invalid type. Expected: ${expected}, given: ${given}`);
    return false;
  }

  #combinations(schema: RegoObject, value: RegoValue, at: string, outcome: Outcome): void {
    const list = (key: string) => (schema.get(key) ?? []) as readonly RegoValue[];
    const tried = (key: string) => list(key).map((one) => this.run(one, value, at));
    const any = tried('anyOf');
    if (any.length > 0 && !any.some(({ valid }) => valid)) {
      outcome.add('number_any_of', at, 'Must validate at least one schema (anyOf)');
      outcome.merge(closest(any) as Outcome);
    }
    const one = tried('oneOf');
    const fitting = one.filter(({ valid }) => valid).length;
    if (one.length > 0 && fitting !== 1) {
      outcome.add('number_one_of', at, 'Must validate one and only one schema (oneOf)');
      if (fitting === 0) outcome.merge(closest(one) as Outcome);
    }
    const all = tried('allOf');
    for (const each of all) outcome.merge(each);
    if (!all.every(({ valid }) => valid)) {
      outcome.add('number_all_of', at, 'Must validate all the schemas (allOf)');
    }
    const not = schema.get('not');
    if (not !== undefined && this.run(not, value, at).valid) {
      outcome.add('number_not', at, 'Must not validate the schema (not)');
    }
    if (isObject(value)) this.#dependencies(schema, value, at, outcome);
    this.#condition(schema, value, at, outcome);
    outcome.score++;
  }

  #condition(schema: RegoObject, value: RegoValue, at: string, outcome: Outcome): void {
    const condition = schema.get('if');
    if (condition === undefined) return;
    const met = this.run(condition, value, at).valid;
    const branch = schema.get(met ? 'then' : 'else');
    const result = branch === undefined ? null : this.run(branch, value, at);
    if (result === null || result.valid) return;
    if (met) outcome.add('condition_then', at, 'Must validate "then" as "if" was valid');
    else outcome.add('condition_else', at, 'Must validate "else" as "if" was not valid');
    outcome.merge(result);
  }

  #dependencies(schema: RegoObject, value: RegoObject, at: string, outcome: Outcome): void {
    const dependencies = schema.get('dependencies');
    if (!isObject(dependencies)) return;
    for (const [name, needed] of dependencies) {
      if (!value.has(name)) continue;
      if (!isArray(needed)) {
        outcome.merge(this.run(needed, value, at));
        continue;
      }
      for (const other of needed) {
        if (value.has(other)) continue;
        outcome.add('missing_dependency', at, `Has a dependency on ${String(other)}`);
      }
    }
  }

  #object(schema: RegoObject, value: RegoObject, at: string, outcome: Outcome): void {
    const [min, max] = [schema.get('minProperties'), schema.get('maxProperties')];
    if (isNumber(min) && value.size < min) {
      outcome.add('array_min_properties', at, `Must have at least ${min} properties`);
    }
    if (isNumber(max) && value.size > max) {
      outcome.add('array_max_properties', at, `Must have at most ${max} properties`);
    }
    for (const name of (schema.get('required') ?? []) as readonly string[]) {
      if (value.has(name)) outcome.score++;
      else outcome.add('required', at, `${name} is required`);
    }
    for (const name of [...value.keys()].sort(compareRego) as string[]) {
      this.#property(schema, name, value.get(name) as RegoValue, at, outcome);
    }
    outcome.score++;
  }

  /** One that is not among `properties`, or has a name with a pattern. */
  #property(schema: RegoObject, name: string, value: RegoValue, at: string, outcome: Outcome) {
    const names = schema.get('propertyNames');
    const patterns = (schema.get('patternProperties') ?? new Map()) as RegoObject;
    const additional = schema.get('additionalProperties');
    let known = (schema.get('properties') as RegoObject | undefined)?.has(name) ?? false;
    for (const [pattern, inner] of patterns) {
      if (!this.#pattern(pattern as string).test(name)) continue;
      known = true;
      outcome.merge(this.run(inner, value, `${at}.${name}`));
    }
    if (!known && additional === false) {
      const description = `Additional property ${name} is not allowed`;
      outcome.add('additional_property_not_allowed', at, description);
    } else if (!known && additional !== undefined) {
      outcome.merge(this.run(additional, value, `${at}.${name}`));
    }
    const named = names === undefined ? null : this.run(names, name, at);
    if (named === null || named.valid) return;
    outcome.add('invalid_property_name', at, `Property name of "${name}" does not match`);
    outcome.merge(named);
  }

  #properties(schema: RegoObject, value: RegoObject, at: string, outcome: Outcome): void {
    for (const [name, inner] of (schema.get('properties') ?? new Map()) as RegoObject) {
      const own = value.get(name);
      if (own !== undefined) outcome.merge(this.run(inner, own, `${at}.${String(name)}`));
    }
  }

  #array(schema: RegoObject, value: readonly RegoValue[], at: string, outcome: Outcome): void {
    const items = schema.get('items');
    const additional = schema.get('additionalItems');
    for (const [i, item] of value.entries()) {
      const inner = isArray(items) ? (items[i] ?? additional) : items;
      if (isArray(items) && i >= items.length && additional === false) {
        outcome.add('array_no_additional_items', at, 'No additional items allowed on array');
        break;
      }
      if (inner !== undefined) outcome.merge(this.run(inner, item, `${at}.${i}`));
    }
    const [min, max] = [schema.get('minItems'), schema.get('maxItems')];
    if (isNumber(min) && value.length < min) {
      outcome.add('array_min_items', at, `Array must have at least ${min} items`);
    }
    if (isNumber(max) && value.length > max) {
      outcome.add('array_max_items', at, `Array must have at most ${max} items`);
    }
    if (schema.get('uniqueItems') === true) checkUnique(value, at, outcome);
    const contains = schema.get('contains');
    if (contains !== undefined) {
      const tried = value.map((item, i) => this.run(contains, item, `${at}.${i}`));
      if (!tried.some(({ valid }) => valid)) {
        outcome.add('contains', at, 'At least one of the items must match');
        const best = closest(tried);
        if (best !== null) outcome.merge(best);
      }
    }
    outcome.score++;
  }

  #string(schema: RegoObject, value: string, at: string, outcome: Outcome): void {
    const [min, max] = [schema.get('minLength'), schema.get('maxLength')];
    const length = [...value].length;
    if (isNumber(min) && length < min) {
      const description = `String length must be greater than or equal to ${min}`;
      outcome.add('string_gte', at, description);
    }
    if (isNumber(max) && length > max) {
      outcome.add('string_lte', at, `String length must be less than or equal to ${max}`);
    }
    const pattern = schema.get('pattern');
    if (typeof pattern === 'string' && !this.#pattern(pattern).test(value)) {
      outcome.add('pattern', at, `Does not match pattern '${pattern}'`);
    }
    outcome.score++;
  }

  #pattern(pattern: string): LinearRegex {
    return compileRegex(pattern, this.#charge) as LinearRegex;
  }
}

function checkUnique(value: readonly RegoValue[], at: string, outcome: Outcome): void {
  const seen = new Map<string, number>();
  for (const [j, item] of value.entries()) {
    const text = goJson(item);
    const i = seen.get(text);
    if (i !== undefined) outcome.add('unique', at, `array items[${i},${j}] must be unique`);
    seen.set(text, j);
  }
}

function checkCommon(
  schema: RegoObject,
  value: RegoValue,
  at: string,
  outcome: Outcome,
  charge: Charge,
): void {
  const field = at.replace(/^\(Root\)\./, '');
  const [constant, choices, format] = [
    schema.get('const'),
    schema.get('enum'),
    schema.get('format'),
  ];
  if (constant !== undefined && compareRego(constant, value) !== 0) {
    outcome.add('const', at, `${field} does not match: ${goJson(constant)}`);
  }
  if (isArray(choices) && !choices.some((choice) => compareRego(choice, value) === 0)) {
    const allowed = choices.map((choice) => goJson(choice)).join(', ');
    outcome.add('enum', at, `${field} must be one of the following: ${allowed}`);
  }
  if (typeof format === 'string' && typeof value === 'string') {
    if (!matchesFormat(format, value, charge)) {
      outcome.add('format', at, `Does not match format '${format}'`);
    }
  }
  outcome.score++;
}

function checkNumber(schema: RegoObject, value: number | bigint, at: string, outcome: Outcome) {
  const [min, max, step] = ['minimum', 'maximum', 'multipleOf'].map((key) => schema.get(key));
  // In draft 4 a boolean makes the limit itself exclusive.
  const [minExclusive, maxExclusive] = [
    schema.get('exclusiveMinimum'),
    schema.get('exclusiveMaximum'),
  ];
  const above = minExclusive === true ? min : minExclusive;
  const below = maxExclusive === true ? max : maxExclusive;
  if (isNumber(step) && !isMultiple(value, step)) {
    outcome.add('multiple_of', at, `Must be a multiple of ${step}`);
  }
  if (isNumber(max) && maxExclusive !== true && value > max) {
    outcome.add('number_lte', at, `Must be less than or equal to ${max}`);
  }
  if (isNumber(below) && value >= below) {
    outcome.add('number_lt', at, `Must be less than ${below}`);
  }
  if (isNumber(min) && minExclusive !== true && value < min) {
    outcome.add('number_gte', at, `Must be greater than or equal to ${min}`);
  }
  if (isNumber(above) && value <= above) {
    outcome.add('number_gt', at, `Must be greater than ${above}`);
  }
  outcome.score++;
}

/** Decimal places count as they are written: 0.3 is a multiple of 0.1. */
function isMultiple(value: number | bigint, step: number | bigint): boolean {
  const [a, b] = [decimalOf(value), decimalOf(step)];
  const places = Math.max(a.places, b.places);
  const [x, y] = [a, b].map(({ digits, places: own }) => digits * 10n ** BigInt(places - own)) as [
    bigint,
    bigint,
  ];
  return y !== 0n && x % y === 0n;
}

function decimalOf(value: number | bigint): { digits: bigint; places: number } {
  const [mantissa = '', exponent = '0'] = String(value).split('e');
  const [whole = '', fraction = ''] = mantissa.split('.');
  const places = fraction.length - Number(exponent);
  const digits = BigInt(whole + fraction);
  return places >= 0 ? { digits, places } : { digits: digits * 10n ** BigInt(-places), places: 0 };
}
