/**
 * Which parts of its input a policy can read at all, from its plan (`plan.json`, OPA's intermediate representation). A
 * part that no statement can reach may be missing from a recorded input without changing any decision. Errs to one side
 * only: a use that is not understood counts as reading everything below. Trusts that the plan is that of the policy.
 * Pure.
 */
type Path = readonly string[];

interface Operand {
  readonly type: string;
  readonly value: unknown;
}
interface Statement {
  readonly type: string;
  readonly stmt: Readonly<Record<string, unknown>>;
}
interface Block {
  readonly stmts: readonly Statement[] | null;
}
interface Plan {
  readonly static?: { readonly strings?: readonly { readonly value: string }[] | null };
  readonly plans?: {
    readonly plans?: readonly { readonly blocks: readonly Block[] | null }[] | null;
  };
  readonly funcs?: {
    readonly funcs?:
      | readonly {
          readonly name: string;
          readonly params: readonly number[];
          readonly blocks: readonly Block[] | null;
        }[]
      | null;
  };
}

export interface InputReads {
  /** False only when no statement can read this part, or anything in it. */
  mayRead(path: Path): boolean;
}

/** As far as nobody knows better, a policy reads all of its input. */
export const READS_ALL: InputReads = { mayRead: () => true };
export const PLAN_FILE = 'plan.json';
const INPUT_LOCAL = 0;
/** They only ask whether something is there, or what it is; both are the same with a part left out. */
const HARMLESS: ReadonlySet<string> = new Set([
  'IsArrayStmt',
  'IsDefinedStmt',
  'IsObjectStmt',
  'IsSetStmt',
  'IsUndefinedStmt',
  'ResetLocalStmt',
]);

/** The other statements of OPA's plans; a new one could read its locals in any way. */
const KNOWN: ReadonlySet<string> = new Set(
  (
    'ArrayAppend AssignInt Block Break Call CallDynamic Dot Equal Len MakeArray MakeNull MakeNumberInt ' +
    'MakeNumberRef MakeObject MakeSet Nop Not NotEqual ObjectInsert ObjectInsertOnce ObjectMerge ' +
    'ResultSetAdd ReturnLocal Scan SetAdd With'
  )
    .split(' ')
    .map((name) => `${name}Stmt`),
);

/** @param plan bytes of `plan.json`; without one, everything counts as read. */
export function inputReads(plan: Uint8Array | undefined): InputReads {
  const reading = readingInput(plan);
  for (;;) {
    const { done, value } = reading.next();
    if (done === true) return value;
  }
}

/** The same in small pieces, for who has other work too. */
export function* readingInput(plan: Uint8Array | undefined): Generator<undefined, InputReads> {
  if (plan === undefined) return READS_ALL;
  try {
    const reader = new PlanReader(JSON.parse(Buffer.from(plan).toString()) as Plan);
    yield* reader.read();
    return { mayRead: (path) => reader.mayRead(path) };
  } catch {
    return READS_ALL; // no plan that is understood
  }
}

/** Owns what has been found to be read. */
class PlanReader {
  readonly #plan: Plan;
  readonly #strings: readonly string[];
  readonly #functions: ReadonlySet<string>;
  /** Paths whose whole value is used, as JSON. */
  readonly #used = new Map<string, Path>();

  constructor(plan: Plan) {
    this.#plan = plan;
    this.#strings = (plan.static?.strings ?? []).map(({ value }) => value);
    this.#functions = new Set((plan.funcs?.funcs ?? []).map(({ name }) => name));
  }

  /** @throws Error when there is nothing to read, or something that is not known. */
  *read(): Generator<undefined, void> {
    if ((this.#plan.plans?.plans ?? []).length === 0) throw new Error('a plan without entrypoints');
    for (const { blocks } of this.#plan.plans?.plans ?? []) {
      this.#body(blocks, INPUT_LOCAL);
      yield;
    }
    for (const { blocks, params } of this.#plan.funcs?.funcs ?? []) {
      this.#body(blocks, params[0]);
      yield;
    }
  }

  mayRead(path: Path): boolean {
    return [...this.#used.values()].some((used) =>
      used.every((part, at) => at >= path.length || part === path[at]),
    );
  }

  #body(blocks: readonly Block[] | null, input: number | undefined): void {
    const places = new Places();
    if (input !== undefined) places.set(input, [[]]);
    for (const block of blocks ?? []) this.#block(block, places);
  }

  /** What a block has done may have happened or not, once or often: both count afterwards, and at its start again. */
  #block(block: Block, places: Places): void {
    for (let grown = true; grown; ) {
      const inner = places.copy();
      for (const { type, stmt } of block.stmts ?? []) {
        this.#statement(type, stmt, inner);
        for (const nested of innerBlocks(stmt)) this.#block(nested, inner);
      }
      grown = places.join(inner);
    }
  }

  #statement(type: string, stmt: Statement['stmt'], places: Places): void {
    const { target, result } = stmt as { target?: number; result?: number };
    const reached = this.#reached(type, stmt, places);
    const made = target ?? result;
    if (made !== undefined) places.set(made, reached);
    if (type === 'MakeArrayStmt') places.makeList(made as number);
    if (type === 'ArrayAppendStmt') {
      places.append(stmt['array'] as number, this.#constant(stmt['value']));
    }
  }

  /** The parts of the input that the statement hands on; those that it looks into count as read. */
  #reached(type: string, stmt: Statement['stmt'], places: Places): readonly Path[] {
    const source = places.of(localOf(stmt['source']));
    if (type === 'AssignVarStmt' || type === 'AssignVarOnceStmt') return source;
    if (HARMLESS.has(type)) return [];
    if (!KNOWN.has(type)) throw new Error(`an unknown statement ${type}`);
    if (type === 'DotStmt') {
      for (const path of places.of(localOf(stmt['key']))) this.#use(path);
      const key = this.#constant(stmt['key']);
      return this.#steps(source, key === null ? null : [key]);
    }
    if (type === 'CallStmt' && stmt['func'] === 'object.get') {
      const [object, way, missing] = stmt['args'] as readonly unknown[];
      for (const path of [...places.of(localOf(way)), ...places.of(localOf(missing))])
        this.#use(path);
      const key = this.#constant(way);
      const keys = key === null ? places.listAt(localOf(way)) : [key];
      return this.#steps(places.of(localOf(object)), keys);
    }
    const passed = type === 'CallStmt' && this.#functions.has(String(stmt['func']));
    for (const local of localsIn(type, stmt, passed || type === 'CallDynamicStmt')) {
      for (const path of places.of(local)) this.#use(path);
    }
    return [];
  }

  /** From each of the parts along the keys; without constant keys all of the part counts as read. */
  #steps(from: readonly Path[], keys: readonly string[] | null): readonly Path[] {
    if (keys === null) {
      for (const path of from) this.#use(path);
      return [];
    }
    const reached = from.map((path) => [...path, ...keys].slice(0, DEPTH_MAX));
    // What is no container may be a scalar that an expression is true or false by.
    for (const path of reached) if (!CONTAINERS.has(JSON.stringify(path))) this.#use(path);
    return reached;
  }

  #use(path: Path): void {
    this.#used.set(JSON.stringify(path), path);
  }

  #constant(operand: unknown): string | null {
    const { type, value } = (operand ?? {}) as Operand;
    return type === 'string_index' ? (this.#strings[value as number] ?? null) : null;
  }
}

const DEPTH_MAX = 4;
/** Objects that every input has, whatever is left out of them. */
const CONTAINERS: ReadonlySet<string> = new Set(
  ['http', 'arguments', 'destination', 'context', 'state'].map((name) => JSON.stringify([name])),
);

/** Which parts of the input locals may hold at one point, and which of them are lists of constant texts. */
class Places {
  readonly #paths: Map<number, ReadonlyMap<string, Path>>;
  /** Only of this block: what another block has done to a list may not have happened. */
  readonly #lists = new Map<number, string[] | null>();

  constructor(paths: Iterable<readonly [number, ReadonlyMap<string, Path>]> = []) {
    this.#paths = new Map(paths);
  }

  copy(): Places {
    return new Places(this.#paths);
  }

  of(local: number | null): readonly Path[] {
    return local === null ? [] : [...(this.#paths.get(local)?.values() ?? [])];
  }

  set(local: number, paths: readonly Path[]): void {
    this.#lists.delete(local);
    this.#paths.set(local, new Map(paths.map((path) => [JSON.stringify(path), path])));
  }

  /** @returns true when a local may now hold more than before. */
  join(other: Places): boolean {
    let grown = false;
    for (const [local, paths] of other.#paths) {
      const own = this.#paths.get(local) ?? new Map<string, Path>();
      const all = new Map([...own, ...paths]);
      if (all.size > own.size) grown = true;
      this.#paths.set(local, all);
    }
    for (const local of other.#lists.keys()) this.#lists.set(local, null);
    return grown;
  }

  /** The texts of a list that was made in this block; null when it is no list of constants. */
  listAt(local: number | null): readonly string[] | null {
    return local === null ? null : (this.#lists.get(local) ?? null);
  }

  makeList(local: number): void {
    this.#lists.set(local, []);
  }

  append(local: number, constant: string | null): void {
    const list = this.#lists.get(local);
    if (constant === null || list == null) this.#lists.set(local, null);
    else list.push(constant);
  }
}

function localOf(operand: unknown): number | null {
  const { type, value } = (operand ?? {}) as Operand;
  return type === 'local' && typeof value === 'number' ? value : null;
}

/** Statements whose fields of plain numbers are locals that they read. */
const PLAIN_LOCALS: Readonly<Record<string, readonly string[]>> = {
  ScanStmt: ['source'],
  ReturnLocalStmt: ['source'],
  ObjectMergeStmt: ['a', 'b'],
  ResultSetAddStmt: ['value'],
};

/** Every local that a statement reads. @param passesInput the first argument is the input of the function called. */
function localsIn(type: string, stmt: Statement['stmt'], passesInput: boolean): readonly number[] {
  const locals = (PLAIN_LOCALS[type] ?? []).map((field) => stmt[field] as number);
  for (const [field, value] of Object.entries(stmt)) {
    if (field === 'args' && Array.isArray(value)) {
      const args = value.map((arg: unknown) => (typeof arg === 'number' ? arg : localOf(arg)));
      locals.push(
        ...args.slice(passesInput && args[0] === INPUT_LOCAL ? 1 : 0).filter((arg) => arg !== null),
      );
    } else if (field === 'path' && Array.isArray(value)) {
      locals.push(...value.map(localOf).filter((local) => local !== null));
    } else {
      const local = localOf(value);
      if (local !== null) locals.push(local);
    }
  }
  return locals;
}

function innerBlocks(stmt: Statement['stmt']): readonly Block[] {
  const { block, blocks } = stmt as { block?: Block | null; blocks?: readonly Block[] | null };
  return [...(block == null ? [] : [block]), ...(blocks ?? [])];
}

/** Parts of the input that a pointer of the audit log stands for. */
export function partsOf(pointer: string): readonly Path[] {
  const [empty, root, name, field, ...more] = pointer.split('/').map(unescaped);
  if (empty !== '' || root !== 'input' || name === undefined) return [[]];
  // Of a place only path and query are ever left out.
  if (name === 'destination') return ['path', 'query', 'segments'].map((part) => [name, part]);
  if (name === 'attachments' || field === undefined) return [[name]];
  return more.length === 0 ? [[name, field]] : [[name]];
}

const unescaped = (part: string) => part.replaceAll('~1', '/').replaceAll('~0', '~');
