/** Durations as people write them in a rollout: `90s`, `10m`, `1h30m`, `2d`. Pure. */
import { z } from 'zod';

const UNITS: Readonly<Record<string, number>> = {
  d: 86_400_000,
  h: 3_600_000,
  m: 60_000,
  s: 1000,
};
const DURATION = /^(?:\d{1,5}[dhms]){1,4}$/;
const DURATION_MAX_MS = 90 * 86_400_000;

/** @returns milliseconds, or null when the text is no duration or longer than 90 days. */
export function durationMs(text: string): number | null {
  if (!DURATION.test(text)) return null;
  let ms = 0;
  for (const [, amount = '0', unit = 's'] of text.matchAll(/(\d+)([dhms])/g)) {
    ms += Number(amount) * (UNITS[unit] ?? 0);
  }
  return ms > DURATION_MAX_MS ? null : ms;
}

/** @param ms milliseconds, not negative. */
export function durationText(ms: number): string {
  let rest = Math.round(ms / 1000);
  const parts = (['d', 'h', 'm', 's'] as const).flatMap((unit) => {
    const size = (UNITS[unit] as number) / 1000;
    const amount = Math.floor(rest / size);
    rest -= amount * size;
    return amount === 0 ? [] : [`${amount}${unit}`];
  });
  return parts.length === 0 ? '0s' : parts.join('');
}

/** In a document: text there, milliseconds here. */
export const durationSchema = z.string().transform((text, context) => {
  const ms = durationMs(text);
  if (ms !== null) return ms;
  context.addIssue('expected a duration such as 30s, 10m or 1h30m, at most 90d');
  return z.NEVER;
});
