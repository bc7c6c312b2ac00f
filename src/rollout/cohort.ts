/**
 * Who belongs to a rollout at which weight. A unit's place is a keyed hash of its name, so it stays where it is while
 * the weight rises, and nobody without the salt can choose a name with a lucky place. Pure; it keeps what it hashed.
 */
import { createHmac } from 'node:crypto';

/** Hundredths of a percent. */
export const EVERYONE = 10_000;
/** Names are mostly one agent and one pod; runs are many and short. */
const KEPT_MAX = 4096;

/** @returns the place of a unit, 0 to 9999; it takes part when the weight is above it. */
export function placeOf(salt: string, set: string, unit: string): number {
  const hash = createHmac('sha256', Buffer.from(salt, 'hex')).update(`${set}\0${unit}`).digest();
  return hash.readUIntBE(0, 6) % EVERYONE;
}

/** `placeOf` under one salt and set, remembered for the units that come again. */
export function createCohort(salt: string, set: string): (unit: string) => number {
  const places = new Map<string, number>();
  return (unit) => {
    const known = places.get(unit);
    if (known !== undefined) return known;
    const place = placeOf(salt, set, unit);
    if (places.size >= KEPT_MAX) places.delete(places.keys().next().value as string);
    places.set(unit, place);
    return place;
  };
}
