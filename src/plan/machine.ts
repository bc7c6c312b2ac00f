/**
 * Runs the statements of a plan, with the meaning that OPA's compiler to WebAssembly gives them. A statement that is
 * undefined ends its innermost block; a function that ends without `return` has no result. Sets and objects are gone
 * through in OPA's order. Throws; evaluate.ts turns that into reasons. Pure.
 */
import type { Builtin, BuiltinContext } from '../decision/builtin.ts';
import type { RegoValue } from '../decision/rego-value.ts';
import { decimalFrom, numberOf } from './decimal.ts';
import type { Meter } from './meter.ts';
import type { Frame, PlanObserver } from './observer.ts';
import type { Block, Operand, Place, Plan, PlanFunction, Statement, StatementOf } from './plan.ts';
import {
  adopted,
  entriesOf,
  equalRego,
  memberOf,
  ValueObject,
  ValueSet,
  weightOf,
} from './value.ts';

/** Two values for what can have one only; or something that no plan of OPA does. */
export class PlanAbort extends Error {
  override name = 'PlanAbort';
}

export interface MachineParts {
  readonly plan: Plan;
  /** Builtins that are instructions in WebAssembly; their results need no adoption. */
  readonly native: ReadonlyMap<string, Builtin>;
  readonly host: ReadonlyMap<string, Builtin>;
  readonly context: BuiltinContext;
  readonly meter: Meter;
  readonly observer: PlanObserver | null;
}

/** How a statement ends: with the next one, with the end of the function, or (from 0) out of that many blocks. */
type Signal = number;
const NEXT: Signal = -1;
const RETURN: Signal = -2;
const UNDEFINED: Signal = 0;

/** About what a statement costs in WebAssembly, so that budgets mean the same in both engines. */
const STATEMENT_STEPS = 20;
const CALL_STEPS = 100;
const WEIGHT_STEPS = 20;

interface MutableFrame extends Frame {
  readonly locals: (RegoValue | undefined)[];
  block: number;
  result: RegoValue | undefined;
}

export class Machine {
  readonly #parts: MachineParts;
  readonly #byPath = new Map<string, PlanFunction>();
  /** Results of rules, one layer per `with` around. */
  #memory: Map<string, RegoValue | null>[] = [new Map()];
  #results: RegoValue[] = [];

  constructor(parts: MachineParts) {
    this.#parts = parts;
    for (const fn of parts.plan.functions.values()) {
      if (fn.path.length > 0) this.#byPath.set(JSON.stringify(fn.path), fn);
    }
  }

  /** @returns the result set of an entrypoint: at most one object in a plan that a bundle holds. */
  run(
    name: string,
    blocks: readonly Block[],
    input: RegoValue | undefined,
    data: RegoValue,
  ): readonly RegoValue[] {
    this.#results = [];
    this.#memory = [new Map()];
    this.#blocks(blocks, frameOf(name, [input, data], null, null));
    return this.#results;
  }

  /** Runs the outermost blocks of a function or an entrypoint. */
  #blocks(blocks: readonly Block[], frame: MutableFrame): RegoValue | undefined {
    const { observer } = this.#parts;
    observer?.entered?.(frame);
    for (const [i, block] of blocks.entries()) {
      frame.block = i;
      const signal = this.#run(block, frame);
      observer?.blockEnded?.(frame, i, signal === NEXT || signal === RETURN);
      if (signal === RETURN) break;
    }
    observer?.left?.(frame, frame.result);
    return frame.result;
  }

  #run(block: Block, frame: MutableFrame): Signal {
    const { meter, observer } = this.#parts;
    for (const statement of block.statements) {
      meter.charge(STATEMENT_STEPS);
      observer?.reached?.(statement, frame);
      const signal = this.#statement(statement, frame);
      observer?.ran?.(statement, frame, signal === NEXT);
      if (signal !== NEXT) return signal;
    }
    return NEXT;
  }

  #statement(statement: Statement, frame: MutableFrame): Signal {
    const { locals } = frame;
    switch (statement.kind) {
      case 'AssignVarStmt':
        locals[statement.target] = read(statement.source, frame);
        return NEXT;
      case 'CallStmt':
        return assigned(frame, statement.result, this.#call(statement, frame));
      case 'CallDynamicStmt':
        return this.#callDynamic(statement, frame);
      case 'ReturnLocalStmt':
        frame.result = locals[statement.source];
        return RETURN;
      case 'BreakStmt':
        return statement.index;
      case 'BlockStmt':
        return this.#nested(statement.blocks, frame);
      case 'ScanStmt':
        return this.#scan(statement, frame);
      case 'NotStmt': {
        const signal = this.#run(statement.block, frame);
        if (signal === NEXT) return UNDEFINED;
        return signal === UNDEFINED ? NEXT : outer(signal);
      }
      case 'WithStmt':
        return this.#with(statement, frame);
      case 'ResultSetAddStmt':
        this.#results.push(locals[statement.value] as RegoValue);
        return NEXT;
      case 'DotStmt':
        return assigned(
          frame,
          statement.target,
          memberOf(read(statement.source, frame), read(statement.key, frame)),
        );
      default:
        return (
          this.#test(statement, frame) ??
          this.#make(statement, frame) ??
          this.#change(statement, frame)
        );
    }
  }

  /** Statements that are defined or not. */
  #test(statement: Statement, frame: MutableFrame): Signal | null {
    const { charge } = this.#parts.meter;
    switch (statement.kind) {
      case 'EqualStmt':
        return when(equalRego(read(statement.a, frame), read(statement.b, frame), charge));
      case 'NotEqualStmt':
        return when(!equalRego(read(statement.a, frame), read(statement.b, frame), charge));
      case 'IsArrayStmt':
        return when(Array.isArray(read(statement.source, frame)));
      case 'IsObjectStmt':
        return when(read(statement.source, frame) instanceof ValueObject);
      case 'IsSetStmt':
        return when(read(statement.source, frame) instanceof ValueSet);
      case 'IsDefinedStmt':
        return when(frame.locals[statement.source] !== undefined);
      case 'IsUndefinedStmt':
        return when(frame.locals[statement.source] === undefined);
      case 'NopStmt':
        return NEXT;
      default:
        return null;
    }
  }

  /** Statements that give a variable a new value. */
  #make(statement: Statement, { locals }: MutableFrame): Signal | null {
    const { meter } = this.#parts;
    switch (statement.kind) {
      case 'ResetLocalStmt':
        locals[statement.target] = undefined;
        return NEXT;
      case 'MakeNullStmt':
        locals[statement.target] = null;
        return NEXT;
      case 'MakeNumberIntStmt':
      case 'AssignIntStmt':
        locals[statement.target] = statement.value;
        return NEXT;
      case 'MakeNumberRefStmt':
        locals[statement.target] = numberFrom(statement.index);
        return NEXT;
      case 'MakeArrayStmt':
        locals[statement.target] = [];
        break;
      case 'MakeObjectStmt':
        locals[statement.target] = new ValueObject();
        break;
      case 'MakeSetStmt':
        locals[statement.target] = new ValueSet();
        break;
      default:
        return null;
    }
    meter.build(1);
    return NEXT;
  }

  /** Statements that change a value in place, or put two together. */
  #change(statement: Statement, frame: MutableFrame): Signal {
    const { locals } = frame;
    switch (statement.kind) {
      case 'AssignVarOnceStmt': {
        const [old, value] = [locals[statement.target], read(statement.source, frame)];
        if (old !== undefined && !equalRego(old, value, this.#parts.meter.charge)) {
          throw conflict(statement.at, 'var assignment conflict');
        }
        locals[statement.target] = value;
        return NEXT;
      }
      case 'LenStmt':
        locals[statement.target] = lengthOf(read(statement.source, frame));
        return NEXT;
      case 'ArrayAppendStmt':
        this.#parts.meter.build(1);
        (locals[statement.array] as RegoValue[]).push(defined(read(statement.value, frame)));
        return NEXT;
      case 'ObjectInsertStmt':
      case 'ObjectInsertOnceStmt':
        this.#insert(statement, frame);
        return NEXT;
      case 'SetAddStmt':
        this.#parts.meter.build(2);
        (locals[statement.set] as ValueSet).add(this.#key(read(statement.value, frame)));
        return NEXT;
      case 'ObjectMergeStmt':
        locals[statement.target] = this.#merged(locals[statement.a], locals[statement.b]);
        return NEXT;
      default:
        throw new PlanAbort(`statement ${statement.kind} out of place`);
    }
  }

  /** Composite keys are found by their text, which costs as much as they hold. */
  #key(value: RegoValue | undefined): RegoValue {
    const key = defined(value);
    if (key !== null && typeof key === 'object') {
      this.#parts.meter.charge(weightOf(key) * WEIGHT_STEPS);
    }
    return key;
  }

  #insert(
    statement: StatementOf<'ObjectInsertStmt'> | StatementOf<'ObjectInsertOnceStmt'>,
    frame: MutableFrame,
  ): void {
    const { meter } = this.#parts;
    const object = frame.locals[statement.object] as ValueObject;
    const key = this.#key(read(statement.key, frame));
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

  #merged(a: RegoValue | undefined, b: RegoValue | undefined): RegoValue | undefined {
    if (a === undefined) return b;
    if (!(a instanceof ValueObject && b instanceof ValueObject)) return a;
    this.#parts.meter.charge((a.size + b.size) * WEIGHT_STEPS);
    this.#parts.meter.build((a.size + b.size) * 3);
    const result = new ValueObject();
    for (const [key, value] of a) {
      const other = b.get(key);
      result.set(key, other === undefined ? value : (this.#merged(value, other) as RegoValue));
    }
    for (const [key, value] of b) if (!a.has(key)) result.set(key, value);
    return result;
  }

  #nested(blocks: readonly Block[], frame: MutableFrame): Signal {
    for (const block of blocks) {
      const signal = this.#run(block, frame);
      if (signal !== NEXT && signal !== UNDEFINED) return outer(signal);
    }
    return NEXT;
  }

  /** A scan is two blocks in one: leaving the first goes on with the next entry, leaving both ends it. */
  #scan(statement: StatementOf<'ScanStmt'>, frame: MutableFrame): Signal {
    for (const [key, value] of entriesOf(frame.locals[statement.source])) {
      this.#parts.meter.charge(STATEMENT_STEPS);
      frame.locals[statement.key] = key;
      frame.locals[statement.value] = value;
      const signal = this.#run(statement.block, frame);
      if (signal === NEXT || signal === UNDEFINED) continue;
      if (signal === 1) break;
      return outer(outer(signal));
    }
    return NEXT;
  }

  #with(statement: StatementOf<'WithStmt'>, frame: MutableFrame): Signal {
    const { local, path } = statement;
    const saved = frame.locals[local];
    const value = read(statement.value, frame);
    frame.locals[local] = path.length === 0 ? value : this.#upserted(saved, path, defined(value));
    this.#memory.push(new Map());
    const signal = this.#run(statement.block, frame);
    this.#memory.pop();
    frame.locals[local] = saved;
    return signal === NEXT || signal === UNDEFINED ? signal : outer(signal);
  }

  /** A copy with another value at the path; what is in the way and no object is replaced. */
  #upserted(
    value: RegoValue | undefined,
    [key, ...rest]: readonly string[],
    inserted: RegoValue,
  ): RegoValue {
    if (key === undefined) return inserted;
    const copy = new ValueObject();
    if (value instanceof ValueObject) {
      this.#parts.meter.charge(value.size);
      for (const [name, item] of value) copy.set(name, item);
    }
    this.#parts.meter.build(copy.size + 1);
    return copy.set(key, this.#upserted(copy.get(key), rest, inserted));
  }

  #call(statement: StatementOf<'CallStmt'>, frame: MutableFrame): RegoValue | undefined | null {
    const args = statement.args.map((arg) => read(arg, frame));
    const fn = this.#parts.plan.functions.get(statement.func);
    if (fn !== undefined) return this.#function(fn, args, statement, frame);
    const result = this.#builtin(statement.func, args);
    return this.#parts.plan.builtins.get(statement.func) === false ? (result ?? null) : result;
  }

  #callDynamic(statement: StatementOf<'CallDynamicStmt'>, frame: MutableFrame): Signal {
    const path = statement.path.map((part) => read(part, frame));
    const fn = this.#byPath.get(
      JSON.stringify(path, (_, part) => (typeof part === 'bigint' ? String(part) : part)),
    );
    if (fn === undefined) return UNDEFINED;
    const args = statement.args.map((local) => frame.locals[local]);
    const result = this.#function(fn, args, statement, frame);
    frame.locals[statement.result] = result;
    return result === undefined ? DYNAMIC_UNDEFINED : NEXT;
  }

  #function(
    fn: PlanFunction,
    args: readonly (RegoValue | undefined)[],
    call: Statement,
    frame: MutableFrame,
  ): RegoValue | undefined {
    this.#parts.meter.charge(CALL_STEPS);
    const memory = fn.params.length === 2 ? this.#memory.at(-1) : undefined;
    const known = memory?.get(fn.name);
    if (known !== undefined) {
      this.#parts.observer?.remembered?.(frame, call, fn.name);
      return known ?? undefined;
    }
    const inner = frameOf(fn.name, [], frame, call);
    for (const [i, local] of fn.params.entries()) inner.locals[local] = args[i];
    const result = this.#blocks(fn.blocks, inner);
    memory?.set(fn.name, result ?? null);
    return result;
  }

  #builtin(name: string, args: readonly (RegoValue | undefined)[]): RegoValue | undefined {
    const { native, host, context, meter } = this.#parts;
    meter.charge(CALL_STEPS);
    if (args.includes(undefined)) return undefined;
    const values = args as readonly RegoValue[];
    const inside = native.get(name);
    if (inside !== undefined) {
      const result = inside(values, context);
      meter.build(sizeOf(result));
      return result;
    }
    const builtin = host.get(name);
    if (builtin === undefined) throw new PlanAbort(`no builtin ${name}`);
    for (const value of values) meter.charge(weightOf(value) * WEIGHT_STEPS);
    const result = builtin(values, context);
    if (result === undefined) return undefined;
    meter.build(weightOf(result));
    return adopted(result, meter.charge);
  }
}

/** A rule that is found but has no result ends the whole reference: two blocks more than a lookup that finds none. */
const DYNAMIC_UNDEFINED: Signal = 3;

function frameOf(
  name: string,
  locals: (RegoValue | undefined)[],
  parent: Frame | null,
  call: Statement | null,
): MutableFrame {
  return { name, locals, parent, call, block: 0, result: undefined };
}

const read = (operand: Operand, frame: MutableFrame): RegoValue | undefined =>
  operand.local === null ? operand.constant : frame.locals[operand.local];

function assigned(
  frame: MutableFrame,
  target: number,
  value: RegoValue | undefined | null,
): Signal {
  frame.locals[target] = value;
  return when(value !== undefined);
}

const when = (holds: boolean): Signal => (holds ? NEXT : UNDEFINED);

/** The same end, seen from around a block. */
const outer = (signal: Signal): Signal => (signal === RETURN ? RETURN : signal - 1);

function defined(value: RegoValue | undefined): RegoValue {
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

/** What a native builtin made new at most; what it took over from its arguments is counted already. */
function sizeOf(value: RegoValue | undefined): number {
  if (typeof value === 'string') return 1 + (value.length >>> 4);
  if (Array.isArray(value)) return value.length;
  if (typeof value === 'bigint') return weightOf(value);
  return value instanceof ValueObject || value instanceof ValueSet ? value.size * 3 : 1;
}
