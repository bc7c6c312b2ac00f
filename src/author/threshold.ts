/**
 * Thresholds for CI: `newly_allowed>0,newly_denied>5%`. A percentage is of the decisions that were compared. Pure.
 */
import { CLASSES, type DifferenceClass } from '../rollout/difference.ts';

export interface Threshold {
  readonly text: string;
  readonly class: DifferenceClass;
  readonly above: number;
  readonly percent: boolean;
}

/** Any difference at all. */
export const ANY_DIFFERENCE = 'newly_allowed>0,newly_denied>0,obligation>0,reason>0,error>0';

/** @returns the part that is no threshold when there is one. */
export function parseThresholds(
  text: string,
):
  | { readonly ok: true; readonly thresholds: readonly Threshold[] }
  | { readonly ok: false; readonly part: string } {
  const thresholds: Threshold[] = [];
  for (const part of text.split(',')) {
    const match = /^\s*([a-z_]+)\s*>\s*([0-9]{1,9}(?:\.[0-9]{1,6})?)(%?)\s*$/.exec(part);
    const name = CLASSES.find((one) => one === match?.[1]);
    if (match === null || name === undefined) return { ok: false, part };
    const [, , number, percent] = match;
    thresholds.push({
      text: part.trim(),
      class: name,
      above: Number(number),
      percent: percent === '%',
    });
  }
  return { ok: true, thresholds };
}

/** Those that are exceeded. */
export function exceeded(
  thresholds: readonly Threshold[],
  counts: Readonly<Record<DifferenceClass, number>>,
): readonly Threshold[] {
  const all = CLASSES.reduce((sum, name) => sum + counts[name], 0);
  return thresholds.filter(({ class: name, above, percent }) => {
    const base = name === 'not_replayable' ? all : all - counts.not_replayable;
    const found = percent ? (100 * counts[name]) / Math.max(1, base) : counts[name];
    return found > above;
  });
}
