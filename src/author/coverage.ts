/**
 * Line coverage of policies by their tests, from the lines that the plan engine reached, for the files an author has
 * named. Pure.
 */
import type { CoverageReport } from '../plan/coverage.ts';

/** First and last line. */
export type LineRange = readonly [number, number];

export interface FileCoverage {
  readonly file: string;
  readonly percent: number;
  readonly covered: readonly LineRange[];
  /** What no test has reached. */
  readonly notCovered: readonly LineRange[];
}

export interface Coverage {
  readonly percent: number;
  readonly files: readonly FileCoverage[];
}

/** A policy as its author knows it. */
export interface CountedFile {
  readonly file: string;
  /** Lines below are not the author's. */
  readonly lines: number;
}

/** @param counted policies by the name they have in the plan; the lines of all other files do not count. */
export function coverageOf(
  report: CoverageReport,
  counted: ReadonlyMap<string, CountedFile>,
): Coverage {
  let [reached, all] = [0, 0];
  const files = report.files.flatMap((one): readonly FileCoverage[] => {
    const known = counted.get(one.file);
    if (known === undefined) return [];
    const own = (rows: readonly number[]) => rows.filter((row) => row <= known.lines);
    const [covered, missed] = [own(one.covered), own(one.missed)];
    reached += covered.length;
    all += covered.length + missed.length;
    const percent = percentOf(covered.length, covered.length + missed.length);
    return [{ file: known.file, percent, covered: ranges(covered), notCovered: ranges(missed) }];
  });
  return {
    percent: percentOf(reached, all),
    files: files.sort((a, b) => (a.file < b.file ? -1 : 1)),
  };
}

/** Ascending lines, those that follow each other as one. */
function ranges(rows: readonly number[]): readonly LineRange[] {
  const result: [number, number][] = [];
  for (const row of rows) {
    const last = result.at(-1);
    if (last !== undefined && row === last[1] + 1) last[1] = row;
    else result.push([row, row]);
  }
  return result;
}

/** Rounded down: only all lines are 100 %. */
const percentOf = (part: number, all: number) =>
  all === 0 ? 100 : Math.floor((1000 * part) / all) / 10;
