/**
 * OPA's plan of a policy (`plan.json`, its intermediate representation) as typed statements: what the plan engine
 * runs. Reads the text strictly, resolves constant strings, and gives every statement its place in the source.
 * The plan is trusted as far as its bundle is; a broken one is an error here and never a wrong answer later. Pure.
 */
/** Where in the Rego source a statement comes from; rows and columns count from 1, 0 is the compiler's own. */
export interface Place {
  readonly file: string;
  readonly row: number;
  readonly col: number;
}

/** A variable of the function by its number, or a constant. 0 is `input`, 1 is `data`. */
export type Operand =
  | { readonly local: number }
  | { readonly local: null; readonly constant: string | boolean };

export interface Block {
  readonly statements: readonly Statement[];
}

interface Shapes {
  ReturnLocalStmt: { source: number };
  CallStmt: { func: string; args: readonly Operand[]; result: number };
  CallDynamicStmt: { args: readonly number[]; result: number; path: readonly Operand[] };
  BlockStmt: { blocks: readonly Block[] };
  BreakStmt: { index: number };
  DotStmt: { source: Operand; key: Operand; target: number };
  LenStmt: { source: Operand; target: number };
  ScanStmt: { source: number; key: number; value: number; block: Block };
  NotStmt: { block: Block };
  AssignIntStmt: { value: number; target: number };
  AssignVarStmt: { source: Operand; target: number };
  AssignVarOnceStmt: { source: Operand; target: number };
  ResetLocalStmt: { target: number };
  MakeNullStmt: { target: number };
  MakeNumberIntStmt: { value: number; target: number };
  MakeNumberRefStmt: { index: string; target: number };
  MakeArrayStmt: { target: number };
  MakeObjectStmt: { target: number };
  MakeSetStmt: { target: number };
  EqualStmt: { a: Operand; b: Operand };
  NotEqualStmt: { a: Operand; b: Operand };
  IsArrayStmt: { source: Operand };
  IsObjectStmt: { source: Operand };
  IsSetStmt: { source: Operand };
  IsDefinedStmt: { source: number };
  IsUndefinedStmt: { source: number };
  ArrayAppendStmt: { value: Operand; array: number };
  ObjectInsertStmt: { key: Operand; value: Operand; object: number };
  ObjectInsertOnceStmt: { key: Operand; value: Operand; object: number };
  ObjectMergeStmt: { a: number; b: number; target: number };
  SetAddStmt: { value: Operand; set: number };
  WithStmt: { local: number; path: readonly string[]; value: Operand; block: Block };
  NopStmt: Record<never, never>;
  ResultSetAddStmt: { value: number };
}

export type Statement = {
  readonly [K in keyof Shapes]: { readonly kind: K; readonly at: Place } & Readonly<Shapes[K]>;
}[keyof Shapes];

export type StatementOf<K extends keyof Shapes> = Extract<Statement, { kind: K }>;

export interface PlanFunction {
  /** Such as `g0.data.policies.receipts.allow`. */
  readonly name: string;
  readonly params: readonly number[];
  readonly result: number;
  readonly blocks: readonly Block[];
  /** Where a dynamic reference into data finds it; empty when nowhere. */
  readonly path: readonly string[];
}

export interface Plan {
  readonly entrypoints: ReadonlyMap<string, readonly Block[]>;
  readonly functions: ReadonlyMap<string, PlanFunction>;
  /** Functions that a dynamic reference finds, by `pathKey`. */
  readonly byPath: ReadonlyMap<string, PlanFunction>;
  /** Builtins by name: whether the call has a result. */
  readonly builtins: ReadonlyMap<string, boolean>;
  readonly files: readonly string[];
}

/** The plan cannot be read; the message says where in the JSON, what was found and what was expected. */
export class PlanFormatError extends Error {
  override name = 'PlanFormatError';
}

type Field =
  | 'local'
  | 'locals'
  | 'operand'
  | 'operands'
  | 'text'
  | 'number'
  | 'string_ref'
  | 'string_refs'
  | 'block'
  | 'blocks';

const SOURCE_TARGET = { source: 'operand', target: 'local' } as const;
const TARGET = { target: 'local' } as const;
const SOURCE = { source: 'operand' } as const;
const PAIR = { a: 'operand', b: 'operand' } as const;
const INSERT = { key: 'operand', value: 'operand', object: 'local' } as const;

const FIELDS: Readonly<Record<keyof Shapes, Readonly<Record<string, Field>>>> = {
  ReturnLocalStmt: { source: 'local' },
  CallStmt: { func: 'text', args: 'operands', result: 'local' },
  CallDynamicStmt: { args: 'locals', result: 'local', path: 'operands' },
  BlockStmt: { blocks: 'blocks' },
  BreakStmt: { index: 'number' },
  DotStmt: { source: 'operand', key: 'operand', target: 'local' },
  LenStmt: SOURCE_TARGET,
  ScanStmt: { source: 'local', key: 'local', value: 'local', block: 'block' },
  NotStmt: { block: 'block' },
  AssignIntStmt: { value: 'number', target: 'local' },
  AssignVarStmt: SOURCE_TARGET,
  AssignVarOnceStmt: SOURCE_TARGET,
  ResetLocalStmt: TARGET,
  MakeNullStmt: TARGET,
  MakeNumberIntStmt: { value: 'number', target: 'local' },
  MakeNumberRefStmt: { index: 'string_ref', target: 'local' },
  MakeArrayStmt: TARGET,
  MakeObjectStmt: TARGET,
  MakeSetStmt: TARGET,
  EqualStmt: PAIR,
  NotEqualStmt: PAIR,
  IsArrayStmt: SOURCE,
  IsObjectStmt: SOURCE,
  IsSetStmt: SOURCE,
  IsDefinedStmt: { source: 'local' },
  IsUndefinedStmt: { source: 'local' },
  ArrayAppendStmt: { value: 'operand', array: 'local' },
  ObjectInsertStmt: INSERT,
  ObjectInsertOnceStmt: INSERT,
  ObjectMergeStmt: { a: 'local', b: 'local', target: 'local' },
  SetAddStmt: { value: 'operand', set: 'local' },
  WithStmt: { local: 'local', path: 'string_refs', value: 'operand', block: 'block' },
  NopStmt: {},
  ResultSetAddStmt: { value: 'local' },
};

/** Nested blocks; OPA makes a few per expression. */
const DEPTH_MAX = 1000;

/** @throws PlanFormatError */
export function parsePlan(text: string): Plan {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new PlanFormatError('plan: found text that is no JSON, expected a plan of OPA');
  }
  return new PlanReader(json).plan();
}

type Json = Readonly<Record<string, unknown>>;

/** Owns the constants of one plan while it is read. */
class PlanReader {
  readonly #root: Json;
  #strings: readonly string[] = [];
  #files: readonly string[] = [];

  constructor(json: unknown) {
    this.#root = record(json, 'plan');
  }

  plan(): Plan {
    const part = (name: string) => record(this.#root[name] ?? {}, name);
    const parts = part('static');
    this.#strings = constants(parts['strings'], 'static.strings');
    this.#files = constants(parts['files'], 'static.files');
    const builtins = list(parts['builtin_funcs'] ?? [], 'static.builtin_funcs').map((item, i) => {
      const { name, decl } = record(item, `static.builtin_funcs[${i}]`);
      const result = (decl as { result?: unknown } | undefined)?.result !== undefined;
      return [string(name, `static.builtin_funcs[${i}].name`), result] as const;
    });
    const functions = list(part('funcs')['funcs'] ?? [], 'funcs.funcs').map((item, i) =>
      this.#function(record(item, `funcs[${i}]`), `funcs[${i}]`),
    );
    const plans = list(part('plans')['plans'] ?? [], 'plans.plans').map((item, i) => {
      const { name, blocks } = record(item, `plans[${i}]`);
      return [string(name, `plans[${i}].name`), this.#blocks(blocks, `plans[${i}]`, 0)] as const;
    });
    return {
      entrypoints: new Map(plans),
      functions: new Map(functions.map((fn) => [fn.name, fn])),
      byPath: new Map(functions.map((fn) => [pathKey(fn.path), fn])),
      builtins: new Map(builtins),
      files: this.#files,
    };
  }

  #function(json: Json, where: string): PlanFunction {
    const strings = (value: unknown) =>
      list(value ?? [], `${where}.path`).map((item) => string(item, `${where}.path`));
    return {
      name: string(json['name'], `${where}.name`),
      params: list(json['params'], `${where}.params`).map((n) => natural(n, `${where}.params`)),
      result: natural(json['return'], `${where}.return`),
      blocks: this.#blocks(json['blocks'], where, 0),
      path: strings(json['path']),
    };
  }

  #blocks(json: unknown, where: string, depth: number): readonly Block[] {
    return list(json ?? [], `${where}.blocks`).map((block, i) =>
      this.#block(block, `${where}.blocks[${i}]`, depth),
    );
  }

  #block(json: unknown, where: string, depth: number): Block {
    if (depth > DEPTH_MAX) {
      throw new PlanFormatError(`${where}: found deeper nesting, expected at most ${DEPTH_MAX}`);
    }
    const statements = list(record(json, where)['stmts'] ?? [], `${where}.stmts`);
    return {
      statements: statements.map((item, i) =>
        this.#statement(record(item, where), `${where}.stmts[${i}]`, depth),
      ),
    };
  }

  #statement({ type, stmt }: Json, where: string, depth: number): Statement {
    if (typeof type !== 'string' || !Object.hasOwn(FIELDS, type)) {
      throw new PlanFormatError(`${where}: found statement ${String(type)}, expected a known one`);
    }
    const json = record(stmt, where);
    const statement: Record<string, unknown> = { kind: type, at: this.#place(json) };
    for (const [name, field] of Object.entries(FIELDS[type as keyof Shapes])) {
      const value = json[name] ?? (name === 'index' ? json['Index'] : undefined);
      statement[name] = this.#field(field, value, `${where}.${name}`, depth);
    }
    return statement as unknown as Statement;
  }

  #place({ file, row, col }: Json): Place {
    const number = (value: unknown) => (typeof value === 'number' ? value : 0);
    return { file: this.#files[number(file)] ?? '', row: number(row), col: number(col) };
  }

  #field(field: Field, value: unknown, where: string, depth: number): unknown {
    switch (field) {
      case 'local':
        return natural(value, where);
      case 'number':
        return integer(value, where);
      case 'text':
        return string(value, where);
      case 'operand':
        return this.#operand(record(value, where), where);
      case 'block':
        return this.#block(value, where, depth + 1);
      case 'blocks':
        return this.#blocks(value, where, depth + 1);
      case 'string_ref':
        return this.#string(value, where);
      case 'locals':
        return list(value ?? [], where).map((item) => natural(item, where));
      case 'operands':
        return list(value ?? [], where).map((item) => this.#operand(record(item, where), where));
      case 'string_refs':
        return list(value ?? [], where).map((item) => this.#string(item, where));
    }
  }

  #operand({ type, value }: Json, where: string): Operand {
    if (type === 'local') return { local: natural(value, where) };
    if (type === 'string_index') return { local: null, constant: this.#string(value, where) };
    if (type === 'bool' && typeof value === 'boolean') return { local: null, constant: value };
    throw new PlanFormatError(
      `${where}: found ${String(type)}, expected local, string_index or bool`,
    );
  }

  #string(value: unknown, where: string): string {
    const text = this.#strings[natural(value, where)];
    if (text !== undefined) return text;
    throw new PlanFormatError(`${where}: found string ${String(value)}, expected one of the plan`);
  }
}

function constants(value: unknown, where: string): readonly string[] {
  return list(value ?? [], where).map((item, i) =>
    string(record(item, where)['value'], `${where}[${i}]`),
  );
}

function record(value: unknown, where: string): Json {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json;
  throw new PlanFormatError(`${where}: found ${found(value)}, expected an object`);
}

function list(value: unknown, where: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new PlanFormatError(`${where}: found ${found(value)}, expected a list`);
}

function string(value: unknown, where: string): string {
  if (typeof value === 'string') return value;
  throw new PlanFormatError(`${where}: found ${found(value)}, expected a text`);
}

function integer(value: unknown, where: string): number {
  if (typeof value === 'number' && Number.isInteger(value)) return value;
  throw new PlanFormatError(`${where}: found ${found(value)}, expected a whole number`);
}

/** A local is an index into an array: a huge one would fill the memory. */
const LOCALS_MAX = 1_000_000;

function natural(value: unknown, where: string): number {
  const number = integer(value, where);
  if (number >= 0 && number < LOCALS_MAX) return number;
  throw new PlanFormatError(`${where}: found ${number}, expected 0 to ${LOCALS_MAX}`);
}

const found = (value: unknown) =>
  value === null ? 'null' : Array.isArray(value) ? 'a list' : typeof value;

/** Texts only: a path with any other part finds no function. */
export const pathKey = (path: readonly unknown[]): string =>
  path.every((part) => typeof part === 'string') ? JSON.stringify(path) : '';
