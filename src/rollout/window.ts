/**
 * Windows in which steps may begin. They follow the clock on the wall of their time zone: an hour that daylight saving
 * leaves out does not open, and one that it repeats opens twice. Pure.
 */
import type { PolicySetSpec } from './policy-set.ts';

type Window = PolicySetSpec['windows'][number];

const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;
const NAMES: readonly string[] = DAYS;
const MINUTE_MS = 60_000;
const DAY_MINUTES = 1440;
/** Longer than a week, because daylight saving can leave one opening out. */
const AHEAD_MS = 15 * DAY_MINUTES * MINUTE_MS;
/** Small enough to notice every change of the offset of a zone. */
const HOP_MINUTES = 30;

/** No windows: always. */
export const isOpen = (windows: readonly Window[], nowMs: number): boolean =>
  windows.length === 0 || windows.some((window) => isWithin(window, nowMs));

/**
 * @returns the first moment from `nowMs` on at which a window is open, at most half an hour late where the clocks
 * change; null when none opens within 15 days.
 */
export function nextOpening(windows: readonly Window[], nowMs: number): number | null {
  for (let at = nowMs; at < nowMs + AHEAD_MS; at = nextHop(windows, at)) {
    if (isOpen(windows, at)) return at;
  }
  return null;
}

function isWithin(window: Window, nowMs: number): boolean {
  const { day, minute } = wallClock(window.timeZone, nowMs);
  const from = minuteOf(window.from);
  const to = minuteOf(window.to);
  const opensOn = (index: number) => window.days.includes(DAYS[(index + 7) % 7] ?? 'sun');
  if (from < to) return opensOn(day) && from <= minute && minute < to;
  return (opensOn(day) && minute >= from) || (opensOn(day - 1) && minute < to);
}

function nextHop(windows: readonly Window[], at: number): number {
  const minutes = windows.map((window) => {
    const wait = minuteOf(window.from) - wallClock(window.timeZone, at).minute;
    return wait > 0 ? wait : wait + DAY_MINUTES;
  });
  const hop = Math.min(HOP_MINUTES, ...minutes);
  return Math.floor(at / MINUTE_MS) * MINUTE_MS + hop * MINUTE_MS;
}

const minuteOf = (time: string) => Number(time.slice(0, 2)) * 60 + Number(time.slice(3, 5));

/** Making one is a thousand times dearer than using it. */
const formats = new Map<string, Intl.DateTimeFormat>();

function wallClock(timeZone: string, nowMs: number): { day: number; minute: number } {
  const format = formats.get(timeZone) ?? newFormat(timeZone);
  formats.set(timeZone, format);
  const parts = Object.fromEntries(
    format.formatToParts(nowMs).map(({ type, value }) => [type, value]),
  );
  const day = NAMES.indexOf(parts['weekday']?.toLowerCase() ?? '');
  return { day, minute: Number(parts['hour']) * 60 + Number(parts['minute']) };
}

const newFormat = (timeZone: string) =>
  new Intl.DateTimeFormat('en-US', {
    timeZone,
    weekday: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
