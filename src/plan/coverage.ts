/**
 * Line coverage of Rego sources: which lines were evaluated at least once, over any number of evaluations of one plan.
 * A line of a rule body counts when it was reached, a line of a rule's head when the rule gave a value. Pure.
 */
import type { PlanObserver } from './observer.ts';
import type { Plan, Statement } from './plan.ts';
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
    for (const statement of statementsOf(this.#plan)) {
      const { file, row } = statement.at;
      if (row === 0 || BOOKKEEPING.has(statement.kind)) continue;
      const rows = lines.get(file) ?? new Map<number, boolean>();
      lines.set(file, rows);
      rows.set(row, rows.get(row) === true || this.#reached.has(statement));
    }
    const files = [...lines].sort(([a], [b]) => (a < b ? -1 : 1)).map(fileCoverage);
    const covered = files.reduce((sum, file) => sum + file.covered.length, 0);
    const all = files.reduce((sum, file) => sum + file.missed.length, covered);
    return { files, percent: all === 0 ? 100 : (100 * covered) / all };
  }
}

function fileCoverage([file, rows]: readonly [string, ReadonlyMap<number, boolean>]): FileCoverage {
  const which = (reached: boolean) =>
    [...rows]
      .filter(([, was]) => was === reached)
      .map(([row]) => row)
      .sort((a, b) => a - b);
  return { file, covered: which(true), missed: which(false) };
}
