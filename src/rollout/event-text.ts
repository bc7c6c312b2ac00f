/** Events of the API server about a policy set, as people read them: the last few, the newest at the end. Pure. */
import { clockText } from './step-text.ts';
import { cut } from './text-table.ts';
import type { Marks } from './timeline.ts';

export interface SetEvent {
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly type: string;
  readonly reason: string;
  readonly message: string;
}

const EVENTS_SHOWN = 8;
const MESSAGE_CHARS = 110;

/** @returns lines. */
export function eventLines(events: readonly SetEvent[], now: number, marks: Marks): string[] {
  const last = events.toSorted((a, b) => a.atMs - b.atMs).slice(-EVENTS_SHOWN);
  const rows = last.map((event) => ({ ...event, at: clockText(event.atMs, now) }));
  const width = (of: (row: (typeof rows)[number]) => string) =>
    Math.max(0, ...rows.map((row) => of(row).length));
  const [atWidth, reasonWidth] = [width(({ at }) => at), width(({ reason }) => reason)];
  return rows.map(({ at, type, reason, message }) => {
    const mark = type === 'Warning' ? marks.bad : ' ';
    const text = cut(message, MESSAGE_CHARS);
    return `  ${mark} ${at.padEnd(atWidth)}  ${reason.padEnd(reasonWidth)}  ${text}`;
  });
}
