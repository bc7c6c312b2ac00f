/**
 * Repeatable random numbers: the same seed gives the same sequence on every machine, so that what a run found can be
 * found again. Not for secrets. Pure.
 */
export interface Random {
  /** An integer from 0 to `below - 1`. */
  below(below: number): number;
  /** One item; undefined only of an empty list. */
  pick<T>(items: readonly T[]): T | undefined;
  chance(probability: number): boolean;
}

/** The generator mulberry32. */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (bound: number) => Math.floor(next() * bound);
  return {
    below,
    pick: (items) => items[below(items.length)],
    chance: (probability) => next() < probability,
  };
}
