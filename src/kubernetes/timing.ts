/**
 * Clock, timers and chance of a reflector, so that a test can bring its own. Shell: owns nothing; makes timers that do
 * not keep the process alive.
 */
export interface Timing {
  /** Never goes back. */
  nowMs(): number;
  /** From 0 to 1. */
  random(): number;
  /** @returns what stops it. */
  timer(ms: number, fire: () => void): () => void;
}

export const realTiming: Timing = {
  nowMs: () => performance.now(),
  random: () => Math.random(),
  timer(ms, fire) {
    const timer = setTimeout(fire, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** Resolves after that time, or at once when the signal is aborted. */
export function pause(timing: Timing, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      stop();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const stop = timing.timer(ms, done);
    signal.addEventListener('abort', done);
  });
}
