/** Chance that can be repeated: numbers that follow from a seed and a place alone. Pure. */
export interface Dice {
  /** 0 up to but not `bound`; 0 when there is nothing to choose from. */
  below(bound: number): number;
  chance(share: number): boolean;
  pick<T>(list: readonly T[]): T;
}

/** mulberry32, started anew for each place. */
export function rollDice(seed: number, place: number): Dice {
  let state = Math.imul(seed ^ Math.imul(place + 1, 0x9e3779b1), 0x85ebca6b) | 0;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  const below = (bound: number) => Math.floor(next() * bound);
  return {
    below,
    chance: (share) => next() < share,
    pick: (list) => list[below(list.length)] as never,
  };
}
