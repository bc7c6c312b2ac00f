/** Steps, weights, revisions and times of a rollout in words. Pure. */

import { durationText } from './duration.ts';
import type { PolicySetSpec } from './policy-set.ts';
import type { StoredRevision } from './state.ts';
import { shortDigest } from './turn.ts';

const HASH = /^(sha256:)?[0-9a-f]{32,}$/;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** @param weight hundredths of a percent. */
export const percentText = (weight: number): string => `${weight / 100}%`;

/** Revisions that are a hash themselves are cut; one without a name is called by its digest. */
export const revisionName = ({ revision, digest }: StoredRevision): string =>
  HASH.test(revision) || revision === ''
    ? shortDigest(revision === '' ? digest : revision)
    : revision;

export function revisionText(revision: StoredRevision | null): string {
  if (revision === null) return 'none';
  const name = revisionName(revision);
  const short = shortDigest(revision.digest);
  return name === short ? name : `${name} (${short})`;
}

/** Two units at most; seconds only below an hour. Negative times, from a clock that differs, are none. */
export function ageText(ms: number): string {
  const unit = ms >= DAY_MS ? HOUR_MS : ms >= HOUR_MS ? MINUTE_MS : 1000;
  return durationText(Math.floor(Math.max(0, ms) / unit) * unit);
}

/** `2026-11-28 02:14:05Z`. */
export const timeText = (ms: number): string =>
  `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')}Z`;

/** Only the clock, when it is the same day as `now` in UTC. */
export function clockText(ms: number, now: number): string {
  const whole = timeText(ms);
  return Math.floor(ms / DAY_MS) === Math.floor(now / DAY_MS) ? whole.slice(11) : whole;
}

export const countText = (count: number, one: string, many = `${one}s`): string =>
  `${count} ${count === 1 ? one : many}`;

/** What the weight is a part of. */
export const unitText = (unit: PolicySetSpec['unit']): string => `${unit}s`;
