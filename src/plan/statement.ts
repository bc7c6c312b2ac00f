/**
 * What single statements do to the variables of a function: tests, new values, changes in place. The flow of control
 * is in machine.ts. Pure.
 */
import type { RegoValue } from '../decision/rego-value.ts';
import { decimalFrom, numberOf } from './decimal.ts';
import type { Meter } from './meter.ts';
import type { Frame } from './observer.ts';
import type { Operand, Place, StatementOf } from './plan.ts';
import { equalRego, ValueObject, ValueSet, weightOf } from './value.ts';

/** Two values for what can have one only; or something that no plan of OPA does. */
export class PlanAbort extends Error {
  override name = 'PlanAbort';
}

/** Steps for each thing that a value holds, where all of it must be looked at. */
export const WEIGHT_STEPS = 20;

export interface MutableFrame extends Frame {
  readonly locals: (RegoValue | undefined)[];
  block: number;
  result: RegoValue | undefined;
}

/** Statements that hold or not. */
export type Test = StatementOf<
  | 'EqualStmt'
  | 'NotEqualStmt'
  | 'IsArrayStmt'
  | 'IsObjectStmt'
  | 'IsSetStmt'
  | 'IsDefinedStmt'
  | 'IsUndefinedStmt'
  | 'NopStmt'
>;

/** Statements that give a variable a new value. */
export type Making = StatementOf<
  | 'ResetLocalStmt'
  | 'MakeNullStmt'
  | 'MakeNumberIntStmt'
  | 'AssignIntStmt'
  | 'MakeNumberRefStmt'
  | 'MakeArrayStmt'
  | 'MakeObjectStmt'
  | 'MakeSetStmt'
>;

/** Statements that change a value in place, or put two together. */
export type Change = StatementOf<
  | 'AssignVarOnceStmt'
  | 'LenStmt'
  | 'ArrayAppendStmt'
  | 'ObjectInsertStmt'
  | 'ObjectInsertOnceStmt'
  | 'SetAddStmt'
  | 'ObjectMergeStmt'
>;

export function tested(statement: Test, frame: MutableFrame, { charge }: Meter): boolean {
  switch (statement.kind) {
    case 'EqualStmt':
      return equalRego(read(statement.a, frame), read(statement.b, frame), charge);
    case 'NotEqualStmt':
      return !equalRego(read(statement.a, frame), read(statement.b, frame), charge);
    case 'IsArrayStmt':
      return Array.isArray(read(statement.source, frame));
    case 'IsObjectStmt':
      return read(statement.source, frame) instanceof ValueObject;
    case 'IsSetStmt':
      return read(statement.source, frame) instanceof ValueSet;
    case 'IsDefinedStmt':
      return frame.locals[statement.source] !== undefined;
    case 'IsUndefinedStmt':
      return frame.locals[statement.source] === undefined;
    case 'NopStmt':
      return true;
  }
}

export function make(statement: Making, { locals }: MutableFrame, meter: Meter): void {
  switch (statement.kind) {
    case 'ResetLocalStmt':
      locals[statement.target] = undefined;
      return;
    case 'MakeNullStmt':
      locals[statement.target] = null;
      return;
    case 'MakeNumberIntStmt':
    case 'AssignIntStmt':
      locals[statement.target] = statement.value;
      return;
    case 'MakeNumberRefStmt':
      locals[statement.target] = numberFrom(statement.index);
      return;
    case 'MakeArrayStmt':
      locals[statement.target] = [];
      break;
    case 'MakeObjectStmt':
      locals[statement.target] = new ValueObject();
      break;
    case 'MakeSetStmt':
      locals[statement.target] = new ValueSet();
      break;
  }
  meter.build(1);
}

export function change(statement: Change, frame: MutableFrame, meter: Meter): void {
  const { locals } = frame;
  switch (statement.kind) {
    case 'AssignVarOnceStmt': {
      const [old, value] = [locals[statement.target], read(statement.source, frame)];
      if (old !== undefined && !equalRego(old, value, meter.charge)) {
        throw conflict(statement.at, 'var assignment conflict');
      }
      locals[statement.target] = value;
      return;
    }
    case 'LenStmt':
      locals[statement.target] = lengthOf(read(statement.source, frame));
      return;
    case 'ArrayAppendStmt':
      meter.build(1);
      (locals[statement.array] as RegoValue[]).push(defined(read(statement.value, frame)));
      return;
    case 'ObjectInsertStmt':
    case 'ObjectInsertOnceStmt':
      insert(statement, frame, meter);
      return;
    case 'SetAddStmt':
      meter.build(2);
      (locals[statement.set] as ValueSet).add(keyOf(read(statement.value, frame), meter));
      return;
    case 'ObjectMergeStmt':
      locals[statement.target] = merged(locals[statement.a], locals[statement.b], meter);
      return;
  }
}

/** Composite keys are found by their text, which costs as much as they hold. */
function keyOf(value: RegoValue | undefined, meter: Meter): RegoValue {
  const key = defined(value);
  if (key !== null && typeof key === 'object') {
    meter.charge(weightOf(key) * WEIGHT_STEPS);
  }
  return key;
}

function insert(
  statement: StatementOf<'ObjectInsertStmt'> | StatementOf<'ObjectInsertOnceStmt'>,
  frame: MutableFrame,
  meter: Meter,
): void {
  const object = frame.locals[statement.object] as ValueObject;
  const key = keyOf(read(statement.key, frame), meter);
  const value = defined(read(statement.value, frame));
  if (statement.kind === 'ObjectInsertOnceStmt') {
    const old = object.get(key);
    if (old !== undefined && !equalRego(old, value, meter.charge)) {
      throw conflict(statement.at, 'object insert conflict');
    }
  }
  meter.build(3);
  object.set(key, value);
}

function merged(
  a: RegoValue | undefined,
  b: RegoValue | undefined,
  meter: Meter,
): RegoValue | undefined {
  if (a === undefined) return b;
  if (!(a instanceof ValueObject && b instanceof ValueObject)) return a;
  meter.charge((a.size + b.size) * WEIGHT_STEPS);
  meter.build((a.size + b.size) * 3);
  const result = new ValueObject();
  for (const [key, value] of a) {
    const other = b.get(key);
    result.set(key, other === undefined ? value : (merged(value, other, meter) as RegoValue));
  }
  for (const [key, value] of b) if (!a.has(key)) result.set(key, value);
  return result;
}

/** A copy with another value at the path; what is in the way and no object is replaced. */
export function upserted(
  value: RegoValue | undefined,
  [key, ...rest]: readonly string[],
  inserted: RegoValue,
  meter: Meter,
): RegoValue {
  if (key === undefined) return inserted;
  const copy = new ValueObject();
  if (value instanceof ValueObject) {
    meter.charge(value.size);
    for (const [name, item] of value) copy.set(name, item);
  }
  meter.build(copy.size + 1);
  return copy.set(key, upserted(copy.get(key), rest, inserted, meter));
}

export const read = (operand: Operand, frame: MutableFrame): RegoValue | undefined =>
  operand.local === null ? operand.constant : frame.locals[operand.local];

export function defined(value: RegoValue | undefined): RegoValue {
  if (value === undefined) throw new PlanAbort('a variable without a value');
  return value;
}

function numberFrom(text: string): number | bigint {
  const decimal = decimalFrom(text);
  if (decimal === null) throw new PlanAbort('a number that is too large');
  return numberOf(decimal);
}

function lengthOf(value: RegoValue | undefined): number {
  if (typeof value === 'string' || Array.isArray(value)) return value.length;
  return value instanceof ValueObject || value instanceof ValueSet ? value.size : 0;
}

const conflict = ({ file, row, col }: Place, what: string) =>
  new PlanAbort(`${file}:${row}:${col}: ${what}`);
