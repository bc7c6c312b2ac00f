/**
 * Runs the statements of a plan, with the meaning that OPA's compiler to WebAssembly gives them. A statement that is
 * undefined ends its innermost block; a function that ends without `return` has no result. Sets and objects are gone
 * through in OPA's order. Throws; evaluate.ts turns that into reasons. Pure.
 */
import type { Builtin, BuiltinContext } from '../decision/builtin.ts';
import type { RegoValue } from '../decision/rego-value.ts';
import type { Meter } from './meter.ts';
import type { Frame, PlanObserver } from './observer.ts';
import {
  type Block,
  type Plan,
  type PlanFunction,
  pathKey,
  type Statement,
  type StatementOf,
} from './plan.ts';
import {
  change,
  defined,
  type MutableFrame,
  make,
  PlanAbort,
  read,
  tested,
  upserted,
  WEIGHT_STEPS,
} from './statement.ts';
import { adopted, entriesOf, memberOf, ValueObject, ValueSet, weightOf } from './value.ts';

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

export class Machine {
  readonly #parts: MachineParts;
  /** Results of rules, one layer per `with` around. */
  #memory: Map<string, RegoValue | undefined>[] = [new Map()];
  #results: RegoValue[] = [];

  constructor(parts: MachineParts) {
    this.#parts = parts;
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
    const { meter } = this.#parts;
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
      case 'NotStmt':
        return this.#not(statement, frame);
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
      case 'EqualStmt':
      case 'NotEqualStmt':
      case 'IsArrayStmt':
      case 'IsObjectStmt':
      case 'IsSetStmt':
      case 'IsDefinedStmt':
      case 'IsUndefinedStmt':
      case 'NopStmt':
        return when(tested(statement, frame, meter));
      case 'ResetLocalStmt':
      case 'MakeNullStmt':
      case 'MakeNumberIntStmt':
      case 'AssignIntStmt':
      case 'MakeNumberRefStmt':
      case 'MakeArrayStmt':
      case 'MakeObjectStmt':
      case 'MakeSetStmt':
        make(statement, frame, meter);
        return NEXT;
      case 'AssignVarOnceStmt':
      case 'LenStmt':
      case 'ArrayAppendStmt':
      case 'ObjectInsertStmt':
      case 'ObjectInsertOnceStmt':
      case 'SetAddStmt':
      case 'ObjectMergeStmt':
        change(statement, frame, meter);
        return NEXT;
    }
  }

  #not({ block }: StatementOf<'NotStmt'>, frame: MutableFrame): Signal {
    const signal = this.#run(block, frame);
    if (signal === NEXT) return UNDEFINED;
    return signal === UNDEFINED ? NEXT : outer(signal);
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
    frame.locals[local] =
      path.length === 0 ? value : upserted(saved, path, defined(value), this.#parts.meter);
    this.#memory.push(new Map());
    const signal = this.#run(statement.block, frame);
    this.#memory.pop();
    frame.locals[local] = saved;
    return signal === NEXT || signal === UNDEFINED ? signal : outer(signal);
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
    const fn = this.#parts.plan.byPath.get(pathKey(path));
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
    if (memory?.has(fn.name) === true) {
      this.#parts.observer?.remembered?.(frame, call, fn.name);
      return memory.get(fn.name);
    }
    const inner = frameOf(fn.name, [], frame, call);
    for (const [i, local] of fn.params.entries()) inner.locals[local] = args[i];
    const result = this.#blocks(fn.blocks, inner);
    memory?.set(fn.name, result);
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

/** What a native builtin made new at most; what it took over from its arguments is counted already. */
function sizeOf(value: RegoValue | undefined): number {
  if (typeof value === 'string') return 1 + (value.length >>> 4);
  if (Array.isArray(value)) return value.length;
  if (typeof value === 'bigint') return weightOf(value);
  return value instanceof ValueObject || value instanceof ValueSet ? value.size * 3 : 1;
}
