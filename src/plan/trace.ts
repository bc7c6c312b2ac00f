/**
 * What happened in an evaluation, rule by rule: which bodies gave a value, where the others stopped, what was compared
 * and where each compared value came from (`input.tool.name`). The raw material of an explanation. Pure.
 */
import type { RegoValue } from '../decision/rego-value.ts';
import type { Frame, PlanObserver } from './observer.ts';
import type { Block, Operand, Place, Plan, Statement } from './plan.ts';
import { expression, memberPath } from './reference.ts';
import { statementsIn } from './walk.ts';

/** A value with where it came from. */
export interface Known {
  readonly value: RegoValue | undefined;
  /** A reference such as `input.tool.name` or `data.egret.mail.recipients`; null when computed. */
  readonly path: string | null;
  /** The call that computed it. */
  readonly call: Call | null;
}

export interface Call {
  /** A builtin, or a function or rule of the plan. */
  readonly name: string;
  readonly args: readonly Known[];
  /** What happened inside; null for a builtin. */
  readonly inside: Visit | null;
}

/** One statement that held or did not, with what it looked at. */
export interface Step {
  readonly statement: Statement;
  readonly order: number;
  readonly operands: readonly Known[];
  /** The call that had no result. */
  readonly call: Call | null;
  /** Of a `not` that did not hold: the last thing inside, which held. */
  readonly inner: Step | null;
}

/** A `not` that held, with what did not hold inside. */
export interface Negation {
  readonly at: Place;
  readonly inside: Step | null;
}

/** One body of a rule in one visit. */
export interface Body {
  readonly head: Place;
  /** Values it gave: items of a set, or the value of the rule. */
  readonly gave: readonly RegoValue[];
  /** The furthest step that did not hold; null when it gave a value, or stopped at nothing that can be named. */
  readonly failure: Step | null;
  readonly negations: readonly Negation[];
  /** The last step that held. */
  readonly last: Step | null;
  /** Lines on which something held. */
  readonly heldRows: ReadonlySet<number>;
}

/** One call of a function or rule of the plan. */
export interface Visit {
  readonly name: string;
  readonly args: readonly Known[];
  readonly parent: Visit | null;
  readonly bodies: readonly Body[];
  readonly result: RegoValue | undefined;
}

interface OpenBody extends Body {
  readonly block: number;
  readonly gave: RegoValue[];
  readonly failures: Map<Statement, Step>;
  readonly negations: Negation[];
  readonly heldRows: Set<number>;
  recent: Step | null;
  last: Step | null;
  failure: Step | null;
}

interface Origin {
  readonly path: string | null;
  readonly call: Call | null;
  /** Of a value that a loop goes through: where the collection came from, and the variable of the key. */
  readonly scanned: { readonly base: string; readonly key: number } | null;
}

interface OpenVisit extends Visit {
  readonly bodies: OpenBody[];
  readonly origins: Map<number, Origin>;
  readonly parent: OpenVisit | null;
  returned: Origin;
  result: RegoValue | undefined;
}

/** Visits that are kept; a policy that calls more is explained by the first ones. */
const VISITS_MAX = 20_000;
const NOWHERE: Origin = { path: null, call: null, scanned: null };
const COMPARING: ReadonlySet<Statement['kind']> = new Set([
  'DotStmt',
  'EqualStmt',
  'NotEqualStmt',
  'CallStmt',
  'CallDynamicStmt',
]);
/** Owns the trace of one evaluation. Use it as the observer, then read `visits`. */
export class Trace implements PlanObserver {
  readonly visits: Visit[] = [];
  readonly #plan: Plan;
  readonly #order = new Map<Statement, number>();
  readonly #elseHeads = new Set<Statement>();
  readonly #open = new Map<Frame, OpenVisit>();
  /** The newest visit of each rule, for those that are remembered. */
  readonly #newest = new Map<string, OpenVisit>();
  /** The visit that the statement under way made. */
  #entered: OpenVisit | null = null;

  constructor(plan: Plan) {
    this.#plan = plan;
    for (const fn of plan.functions.values()) {
      for (const block of fn.blocks) {
        for (const head of elseHeads(block)) this.#elseHeads.add(head);
        for (const statement of statementsIn(block)) this.#order.set(statement, this.#order.size);
      }
    }
  }

  entered(frame: Frame): void {
    const parent = frame.parent === null ? null : (this.#open.get(frame.parent) ?? null);
    const args = parent === null ? [] : argumentsOf(frame, parent);
    const origins = new Map<number, Origin>([
      [0, { ...NOWHERE, path: 'input' }],
      [1, { ...NOWHERE, path: 'data' }],
    ]);
    const params = this.#plan.functions.get(frame.name)?.params ?? [];
    for (const [i, { path, call }] of args.entries()) {
      origins.set(params[i] ?? i, { path, call, scanned: null });
    }
    const result = undefined;
    const visit = {
      name: frame.name,
      args,
      parent,
      bodies: [],
      origins,
      returned: NOWHERE,
      result,
    };
    this.#open.set(frame, visit);
    if (this.visits.length < VISITS_MAX) this.visits.push(visit);
  }

  left(frame: Frame, result: RegoValue | undefined): void {
    const visit = this.#open.get(frame);
    if (visit === undefined) return;
    visit.result = result;
    this.#open.delete(frame);
    this.#newest.set(frame.name, visit);
    this.#entered = visit;
  }

  remembered(_frame: Frame, _statement: Statement, name: string): void {
    this.#entered = this.#newest.get(name) ?? null;
  }

  blockEnded(frame: Frame, block: number): void {
    for (const body of this.#open.get(frame)?.bodies ?? []) {
      if (body.block !== block || body.gave.length > 0) continue;
      for (const step of body.failures.values()) {
        if (step.order > (body.failure?.order ?? -1)) body.failure = step;
      }
    }
  }

  reached(statement: Statement, frame: Frame): void {
    this.#entered = null;
    const visit = this.#open.get(frame);
    if (visit === undefined) return;
    const starts =
      statement.kind === 'ResetLocalStmt' && visit.bodies.at(-1)?.block !== frame.block;
    if (starts) visit.bodies.push(openBody(statement.at, frame.block));
    if (statement.kind !== 'ScanStmt') return;
    const { path: base } = originOf(statement.source, frame, visit);
    const scanned = base === null ? null : { base, key: statement.key };
    visit.origins.set(statement.value, { path: null, call: null, scanned });
  }

  ran(statement: Statement, frame: Frame, held: boolean): void {
    const visit = this.#open.get(frame);
    if (visit === undefined) return;
    if (held && this.#elseHeads.has(statement))
      visit.bodies.push(openBody(statement.at, frame.block));
    const call = callOf(statement, frame, visit, this.#entered);
    follow(statement, frame, visit, call);
    const body = visit.bodies.at(-1);
    if (body === undefined || body.block !== frame.block) return;
    const order = this.#order.get(statement) ?? 0;
    const result = this.#plan.functions.get(frame.name)?.result;
    const gave =
      held && samePlace(statement.at, body.head) ? givenBy(statement, frame, result) : undefined;
    if (gave !== undefined) {
      body.gave.push(gave);
    } else if (statement.kind === 'NotStmt') {
      this.#negated(statement, order, body, held);
    } else if (COMPARING.has(statement.kind)) {
      const operands = operandsOf(statement).map((operand) => knownOf(operand, frame, visit));
      note({ statement, order, operands, call, inner: null }, body, held);
    }
  }

  /** What failed inside of a `not` that holds is no failure of the body. */
  #negated(statement: Statement, order: number, body: OpenBody, held: boolean): void {
    if (!held) {
      const inner = body.last;
      const step = { statement, order, operands: [], call: null, inner };
      note(step, body, false);
      return;
    }
    const inside = body.recent !== null && body.recent.order > order ? body.recent : null;
    body.negations.push({ at: statement.at, inside });
    for (const [failed, step] of body.failures) {
      if (step.order > order) body.failures.delete(failed);
    }
    body.heldRows.add(statement.at.row);
  }
}

/** A rule with `else` is one block of blocks; each but the first begins by asking whether there is a value yet. */
function elseHeads({ statements }: Block): readonly Statement[] {
  const [chain] = statements;
  if (chain?.kind !== 'BlockStmt' || chain.at.row !== 0) return [];
  const heads = chain.blocks.slice(1).map((block) => block.statements[0]);
  return heads.filter((head) => head?.kind === 'IsUndefinedStmt');
}

function openBody(head: Place, block: number): OpenBody {
  const [gave, negations, failures] = [[], [], new Map()];
  const heldRows = new Set<number>();
  return {
    head,
    block,
    gave,
    negations,
    failures,
    heldRows,
    recent: null,
    last: null,
    failure: null,
  };
}

function note(step: Step, body: OpenBody, held: boolean): void {
  if (!held) {
    body.recent = step;
    body.failures.set(step.statement, step);
    return;
  }
  if (step.statement.kind !== 'EqualStmt' && step.statement.kind !== 'NotEqualStmt') return;
  body.last = step;
  body.heldRows.add(step.statement.at.row);
}

/** Where the value of a variable came from, after a statement. */
function follow(statement: Statement, frame: Frame, visit: OpenVisit, call: Call | null): void {
  const { origins } = visit;
  if (statement.kind === 'DotStmt') {
    const base = expression(knownOf(statement.source, frame, visit));
    const key = valueIn(statement.key, frame);
    const member = base === null || key === undefined ? null : memberPath(base, key);
    origins.set(statement.target, { ...NOWHERE, path: member });
  } else if (statement.kind === 'AssignVarStmt' || statement.kind === 'AssignVarOnceStmt') {
    const { local } = statement.source;
    origins.set(statement.target, local === null ? NOWHERE : (origins.get(local) ?? NOWHERE));
  } else if (statement.kind === 'ReturnLocalStmt') {
    visit.returned = originOf(statement.source, frame, visit);
  } else if (statement.kind === 'CallStmt' || statement.kind === 'CallDynamicStmt') {
    origins.set(statement.result, { path: resultPath(call), call, scanned: null });
  } else if ('target' in statement) {
    origins.set(statement.target, NOWHERE);
  }
}

function callOf(
  statement: Statement,
  frame: Frame,
  visit: OpenVisit,
  inside: Visit | null,
): Call | null {
  if (statement.kind !== 'CallStmt' && statement.kind !== 'CallDynamicStmt') return null;
  const name = statement.kind === 'CallStmt' ? statement.func : (inside?.name ?? '');
  return { name, args: operandsOf(statement).map((arg) => knownOf(arg, frame, visit)), inside };
}

/** A rule is named by its reference, unless it only passes another document on. */
function resultPath(call: Call | null): string | null {
  if (call === null) return null;
  const inside = call.inside as OpenVisit | null;
  if (inside === null) return call.name === 'object.get' ? lookedUp(call.args) : null;
  if (inside.returned.path !== null) return inside.returned.path;
  return call.args.length === 2 ? call.name.replace(/^g[0-9]+\./, '') : null;
}

/** What `object.get(input, ["tool", "name"], null)` refers to. */
function lookedUp([object, key]: readonly Known[]): string | null {
  const value = key?.value;
  if (object?.path == null || value === undefined) return null;
  const keys: readonly RegoValue[] = Array.isArray(value) ? value : [value];
  return keys.reduce<string>((path, part) => memberPath(path, part), object.path);
}

function argumentsOf(frame: Frame, parent: OpenVisit): readonly Known[] {
  if (frame.call === null || frame.parent === null) return [];
  const caller = frame.parent;
  return operandsOf(frame.call).map((operand) => knownOf(operand, caller, parent));
}

/** What a statement looks at. */
function operandsOf(statement: Statement): readonly Operand[] {
  const { kind } = statement;
  if (kind === 'EqualStmt' || kind === 'NotEqualStmt') return [statement.a, statement.b];
  if (kind === 'DotStmt') return [statement.source, statement.key];
  if (kind === 'CallStmt') return statement.args;
  return kind === 'CallDynamicStmt' ? statement.args.map((local) => ({ local })) : [];
}

const valueIn = (operand: Operand, frame: Frame): RegoValue | undefined =>
  operand.local === null ? operand.constant : frame.locals[operand.local];

function knownOf(operand: Operand, frame: Frame, visit: OpenVisit): Known {
  const value = valueIn(operand, frame);
  if (operand.local === null) return { value, path: null, call: null };
  const { path, call } = originOf(operand.local, frame, visit);
  return { value, path, call };
}

function originOf(local: number, frame: Frame, visit: OpenVisit): Origin {
  const origin = visit.origins.get(local) ?? NOWHERE;
  if (origin.scanned === null) return origin;
  const { base, key } = origin.scanned;
  const value = frame.locals[key];
  return { ...origin, path: value === undefined ? base : memberPath(base, value) };
}

/** Of a statement in the head of a rule: the value or the item of a set; undefined when it is neither. */
function givenBy(
  statement: Statement,
  frame: Frame,
  result: number | undefined,
): RegoValue | undefined {
  const { kind } = statement;
  if (kind === 'AssignVarOnceStmt') return valueIn(statement.source, frame);
  const item =
    (kind === 'SetAddStmt' && statement.set === result) ||
    (kind === 'ObjectInsertOnceStmt' && statement.object === result);
  return item ? valueIn(statement.value, frame) : undefined;
}

const samePlace = (a: Place, b: Place) => a.row === b.row && a.col === b.col && a.file === b.file;
