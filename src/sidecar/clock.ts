/**
 * The clocks and the source of ids, in one place, so that everything else takes time as a parameter. Shell: reads the
 * system's clocks and random numbers.
 */
import { randomUUIDv7 } from 'node:crypto';
import type { Clock } from '../proxy/ports.ts';

export const systemClock: Clock = {
  wallNs: () => BigInt(Date.now()) * 1_000_000n,
  monotonicMs: () => performance.now(),
  uuid: () => randomUUIDv7(),
};
