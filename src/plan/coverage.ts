/**
 * Line coverage of Rego sources: which lines were evaluated at least once, over any number of evaluations of one plan.
 * A line of a rule body counts when it was reached, a line of a rule's head when the rule gave a value, and so does one
 * that holds both. Pure.
 */
import type { PlanObserver } from './observer.ts';
import type { Block, Plan, Statement } from './plan.ts';
import { statementsOf } from './walk.ts';

export interface FileCoverage {
  readonly file: string;
  /** Line numbers from 1, ascending. Lines without code are in neither list. */
  readonly covered: readonly number[];
  readonly missed: readonly number[];
}

export interface CoverageReport {
  readonly files: readonly FileCoverage[];
  /** Covered lines in percent of all lines with code; 100 when there are none. */
  readonly percent: number;
}

/** They belong to the head of a rule or to nothing that anybody wrote, and run whether or not a rule holds. */
const BOOKKEEPING: ReadonlySet<Statement['kind']> = new Set([
  'ResetLocalStmt',
  'MakeSetStmt',
  'MakeObjectStmt',
  'ReturnLocalStmt',
  'IsDefinedStmt',
  'IsUndefinedStmt',
  'BlockStmt',
  'BreakStmt',
  'NopStmt',
]);

const GIVES_VALUE: ReadonlySet<Statement['kind']> = new Set([
  'AssignVarOnceStmt',
  'ObjectInsertOnceStmt',
  'ObjectInsertStmt',
  'SetAddStmt',
]);

/** Owns what was reached so far. Use it as the observer of evaluations, then ask for the report. */
export class Coverage implements PlanObserver {
  readonly #plan: Plan;
  readonly #reached = new Set<Statement>();

  constructor(plan: Plan) {
    this.#plan = plan;
  }

  reached(statement: Statement): void {
    this.#reached.add(statement);
  }

  report(): CoverageReport {
    const lines = new Map<string, Map<number, boolean>>();
    const heads = new Set(headsOf(this.#plan));
    const headLines = new Set([...heads].map(({ at: { file, row } }) => `${row} ${file}`));
    for (const statement of statementsOf(this.#plan)) {
      const { file, row } = statement.at;
      if (row === 0 || BOOKKEEPING.has(statement.kind)) continue;
      const rows = lines.get(file) ?? new Map<number, boolean>();
      lines.set(file, rows);
      const counts = heads.has(statement) || !headLines.has(`${row} ${file}`);
      rows.set(row, rows.get(row) === true || (counts && this.#reached.has(statement)));
    }
    const files = [...lines].sort(([a], [b]) => (a < b ? -1 : 1)).map(fileCoverage);
    const covered = files.reduce((sum, file) => sum + file.covered.length, 0);
    const all = files.reduce((sum, file) => sum + file.missed.length, covered);
    return { files, percent: all === 0 ? 100 : (100 * covered) / all };
  }
}

/** The statements that give rules their values: the last of each body. */
function* headsOf(plan: Plan): Generator<Statement> {
  for (const fn of plan.functions.values()) {
    for (const block of fn.blocks) yield* headsIn(block);
  }
}

function* headsIn({ statements }: Block): Generator<Statement> {
  const last = statements.at(-1);
  if (last === undefined) return;
  if (GIVES_VALUE.has(last.kind)) yield last;
  else if (last.kind === 'ScanStmt' || last.kind === 'WithStmt') yield* headsIn(last.block);
  // The branches of `else`.
  else if (last.kind === 'BlockStmt') for (const block of last.blocks) yield* headsIn(block);
}

function fileCoverage([file, rows]: readonly [string, ReadonlyMap<number, boolean>]): FileCoverage {
  const which = (reached: boolean) =>
    [...rows]
      .filter(([, was]) => was === reached)
      .map(([row]) => row)
      .sort((a, b) => a - b);
  return { file, covered: which(true), missed: which(false) };
}
