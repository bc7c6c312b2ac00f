/**
 * A token bucket: so many events per second, twice as many at once. Exact to the fraction, whatever the clock's step;
 * a clock that stands still or goes back gives nothing. Pure.
 */

export interface TokenBucket {
  /** Takes one token, or says that none is left. @param nowMs milliseconds on a monotonic clock. */
  take(nowMs: number): boolean;
}

export function createTokenBucket(perSecond: number, startMs: number): TokenBucket {
  const most = perSecond * 2;
  let tokens = most;
  let filledMs = startMs;
  return {
    take(nowMs) {
      if (nowMs > filledMs) {
        tokens = Math.min(most, tokens + ((nowMs - filledMs) / 1000) * perSecond);
        filledMs = nowMs;
      }
      if (tokens < 1) return false;
      tokens -= 1;
      return true;
    },
  };
}
