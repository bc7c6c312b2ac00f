/** `egret rollout history` for people: what was rolled out, how it ended, and who had a part in it. Pure. */
import type { HistoryEntry, RolloutState } from './state.ts';
import { ageText, revisionText, timeText } from './step-text.ts';
import { cut, tableLines } from './text-table.ts';

const REASON_CHARS = 60;
const HEAD = ['ENDED', 'TOOK', 'RESULT', 'REVISION', 'ROLLOUT', 'BY', 'WHY', 'REASON'];

/** Newest first, the one under way before all. */
export function historyText(state: RolloutState, now: number): string {
  const { rollout, history } = state;
  const under = rollout !== null && !history.some(({ rolloutId }) => rolloutId === rollout.id);
  const rows = history.map(rowOf);
  if (under) {
    const took = ageText(now - rollout.startedAtMs);
    const revision = revisionText(rollout.candidate);
    const { by = '', why = '' } = rollout.approval ?? {};
    const message = cut(state.message, REASON_CHARS);
    rows.unshift([
      '-',
      took,
      state.phase,
      revision,
      rollout.id,
      by || '-',
      cut(why, 40) || '-',
      message,
    ]);
  }
  return rows.length === 0 ? 'Nothing was rolled out yet.' : tableLines(HEAD, rows).join('\n');
}

function rowOf(entry: HistoryEntry): string[] {
  const { rolloutId, revision, result, reason, startedAtMs, endedAtMs, approval } = entry;
  return [
    timeText(endedAtMs),
    ageText(endedAtMs - startedAtMs),
    result,
    revisionText(revision),
    rolloutId,
    cut(approval?.by ?? '', 40) || '-',
    cut(approval?.why ?? '', 40) || '-',
    cut(reason, REASON_CHARS),
  ];
}
