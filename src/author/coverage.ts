/**
 * Line coverage of policies by their tests, from what measures it (`opa test --coverage`), for the files an author has
 * named. Pure.
 */
import { z } from 'zod';

export interface FileCoverage {
  readonly file: string;
  readonly percent: number;
  /** First and last lines of what no test has reached. */
  readonly notCovered: readonly (readonly [number, number])[];
}

export interface Coverage {
  readonly percent: number;
  readonly files: readonly FileCoverage[];
}

const range = z.object({
  start: z.object({ row: z.int() }),
  end: z.object({ row: z.int() }),
});
const opaReport = z.object({
  files: z.record(
    z.string(),
    z.object({
      covered_lines: z.int().default(0),
      not_covered_lines: z.int().default(0),
      not_covered: z.array(range).default([]),
    }),
  ),
});

/** @param fileOf the author's name of a file; null for one that is not the author's. Tests do not count. */
export function coverageOf(report: unknown, fileOf: (staged: string) => string | null): Coverage {
  const { files } = opaReport.parse(report);
  let [covered, all] = [0, 0];
  const own: FileCoverage[] = [];
  for (const [staged, counts] of Object.entries(files)) {
    const file = fileOf(staged);
    if (file === null || file.endsWith('_test.rego')) continue;
    const lines = counts.covered_lines + counts.not_covered_lines;
    covered += counts.covered_lines;
    all += lines;
    own.push({
      file,
      percent: percentOf(counts.covered_lines, lines),
      notCovered: merged(counts.not_covered.map(({ start, end }) => [start.row, end.row])),
    });
  }
  return {
    percent: percentOf(covered, all),
    files: own.sort((a, b) => (a.file < b.file ? -1 : 1)),
  };
}

/** Ranges that touch or overlap, as one. */
function merged(ranges: readonly (readonly [number, number])[]): FileCoverage['notCovered'] {
  const result: [number, number][] = [];
  for (const [from, to] of ranges.toSorted((a, b) => a[0] - b[0])) {
    const last = result.at(-1);
    if (last !== undefined && from <= last[1] + 1) last[1] = Math.max(last[1], to);
    else result.push([from, to]);
  }
  return result;
}

const percentOf = (part: number, all: number) =>
  all === 0 ? 100 : Math.round((1000 * part) / all) / 10;
