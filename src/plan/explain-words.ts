/**
 * What was compared, in words: the two sides with where they come from, and what must be otherwise. Pure.
 */
import type { RegoValue } from '../decision/rego-value.ts';
import { expression, memberPath, shownValue } from './reference.ts';
import type { Call, Known, Step } from './trace.ts';
import { jsonOf } from './value.ts';

/** One side of a comparison. */
export interface Side {
  /** `input.tool.name`, or an expression such as `count(input.attachments)`; null for a constant. */
  readonly path: string | null;
  /** As JSON; undefined when there is no such value. */
  readonly value: unknown;
  /** In the notation of Rego; null when there is no such value. */
  readonly text: string | null;
}

export interface Comparison {
  /** Name of the builtin, or `equal`, `defined`, `true`. */
  readonly operator: string;
  /** The side that can be changed: of the input when there is one. */
  readonly subject: Side;
  readonly other: Side | null;
  /** What the subject must do: `be at most 30`. */
  readonly wanted: string;
}

interface Relation {
  /** What the first must do; `{}` is the second. */
  readonly first: string;
  readonly firstNot: string;
  /** What the second must do; `{}` is the first. */
  readonly second: string;
  readonly secondNot: string;
}

const relation = (
  first: string,
  firstNot: string,
  second = first,
  secondNot = firstNot,
): Relation => ({ first, firstNot, second, secondNot });

const EQUAL = relation('be {}', 'not be {}');
const NOT_EQUAL = relation('not be {}', 'be {}');

const RELATIONS: Readonly<Record<string, Relation>> = {
  equal: EQUAL,
  neq: NOT_EQUAL,
  lt: relation('be below {}', 'be at least {}', 'be above {}', 'be at most {}'),
  lte: relation('be at most {}', 'be above {}', 'be at least {}', 'be below {}'),
  gt: relation('be above {}', 'be at most {}', 'be below {}', 'be at least {}'),
  gte: relation('be at least {}', 'be below {}', 'be at most {}', 'be above {}'),
  'internal.member_2': relation('be one of {}', 'be none of {}', 'hold {}', 'not hold {}'),
  startswith: relation(
    'begin with {}',
    'not begin with {}',
    'be the beginning of {}',
    'not be the beginning of {}',
  ),
  endswith: relation('end with {}', 'not end with {}', 'be the end of {}', 'not be the end of {}'),
  contains: relation('contain {}', 'not contain {}', 'be a part of {}', 'not be a part of {}'),
  'regex.match': relation('match {}', 'not match {}', 'match {}', 'not match {}'),
  'glob.match': relation('match {}', 'not match {}', 'match {}', 'not match {}'),
};

/** Builtins that ask one value for its type. */
const TYPE_TESTS = /^is_(number|string|boolean|array|set|object|null)$/;

const NO_SIDE: Side = { path: null, value: undefined, text: null };

/**
 * @param turned says what would make a step fail that held.
 * @returns null when the step compares nothing that can be named, such as the result of another rule.
 */
export function comparisonOf(step: Step, turned = false): Comparison | null {
  const negated = step.statement.kind === 'NotStmt';
  const inner = negated ? step.inner : step;
  if (inner === null) return null;
  const must = negated === turned;
  const [a, b] = inner.operands;
  const { kind } = inner.statement;
  if (kind === 'NotEqualStmt') return a === undefined ? null : truth(a, must);
  if (kind !== 'EqualStmt' && kind !== 'DotStmt') {
    return inner.call === null ? null : ofBuiltin(inner.call, must);
  }
  if (a === undefined || b === undefined) return null;
  return kind === 'DotStmt' ? presence(a, b.value, must) : related('equal', EQUAL, a, b, must);
}

function presence(source: Known, key: RegoValue | undefined, must: boolean): Comparison | null {
  if (key === undefined) return null;
  const path = memberPath(expression(source) ?? 'the document', key);
  const subject = { ...NO_SIDE, path };
  return { operator: 'defined', subject, other: null, wanted: must ? 'be there' : 'not be there' };
}

function truth(known: Known, must: boolean): Comparison | null {
  if (known.call !== null && known.call.inside === null) return ofBuiltin(known.call, must);
  if (known.path === null || known.call !== null) return null;
  const subject = side(known);
  return { operator: 'true', subject, other: null, wanted: must ? 'be true' : 'not be true' };
}

function ofBuiltin({ name, args, inside }: Call, must: boolean): Comparison | null {
  if (inside !== null) return null;
  const [first, second, third] = args;
  const type = TYPE_TESTS.exec(name)?.[1];
  if (type !== undefined && first !== undefined) {
    if (expression(first) === null) return null;
    const wanted = `${must ? 'be' : 'not be'} of type ${type}`;
    return { operator: name, subject: side(first), other: null, wanted };
  }
  const holds = RELATIONS[name];
  const [a, b] =
    name === 'regex.match'
      ? [second, first]
      : name === 'glob.match'
        ? [third, first]
        : [first, second];
  return holds === undefined || a === undefined || b === undefined
    ? null
    : related(name, holds, a, b, must);
}

function related(
  operator: string,
  holds: Relation,
  a: Known,
  b: Known,
  must: boolean,
): Comparison | null {
  const [x, y] = [side(a), side(b)];
  if (x.path === null && y.path === null) return null;
  const fromInput = ({ path }: Side) => path !== null && /\binput\b/.test(path);
  const swapped = (fromInput(y) && !fromInput(x)) || (x.path === null && y.path !== null);
  const phrase = swapped
    ? must
      ? holds.second
      : holds.secondNot
    : must
      ? holds.first
      : holds.firstNot;
  const [subject, other] = swapped ? [y, x] : [x, y];
  const wanted = phrase.replace('{}', () => other.text ?? other.path ?? 'something else');
  return { operator, subject, other, wanted };
}

function side(known: Known): Side {
  const { value } = known;
  const path = expression(known);
  if (value === undefined) return { path, value: undefined, text: null };
  return { path, value: jsonOf(value), text: shownValue(value) };
}

/** Data that somebody wrote, and no rule. */
const SETTINGS = /^data\.(?!egret\b|policies\b)/;

/** One sentence on what would have to be otherwise. */
export function suggestionOf({ subject, other, wanted }: Comparison): string {
  const name = subject.path ?? subject.text ?? 'the value';
  const is = subject.text === null ? 'there is none' : `it is ${subject.text}`;
  const settings = other?.path ?? null;
  const or = settings !== null && SETTINGS.test(settings) ? `; or change ${settings}` : '';
  return `${name} must ${wanted}; ${is}${or}`;
}
