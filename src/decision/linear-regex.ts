/**
 * Regular expressions of Go's syntax that run in linear time for each search, and pay for every character they look
 * at, so that a text of the agent cannot make a search for many matches run on. Pure.
 */
import { RE2JS, RE2JSException } from 're2js';

type Charge = (steps: number) => void;

/** Positions in UTF-16 units: start and end of the match, then of each group; -1 for a group that took no part. */
export type Match = readonly number[];

/** What looking at one character costs: about 150 ns and more with a larger program. */
const STEPS_PER_LOOK = 400;
const STEPS_PER_LOOK_AND_INSTRUCTION = 20;
const STEPS_PER_PATTERN_CHARACTER = 2000;
const LOOKS_PER_CHARGE = 64;
const PATTERN_CHARACTERS_MAX = 64 * 1024;
const PATTERNS_KEPT = 64;

/** By pattern, oldest use first; what a pattern means never changes. null: not valid. */
const compiled = new Map<string, RE2JS | null>();

/** @returns null when the pattern is not valid. */
export function compileRegex(pattern: string, charge: Charge): LinearRegex | null {
  charge(pattern.length * STEPS_PER_PATTERN_CHARACTER);
  if (pattern.length > PATTERN_CHARACTERS_MAX) return null;
  const known = compiled.get(pattern);
  const program = known === undefined ? compile(pattern) : known;
  compiled.delete(pattern);
  compiled.set(pattern, program);
  for (const oldest of compiled.keys()) {
    if (compiled.size <= PATTERNS_KEPT) break;
    compiled.delete(oldest);
  }
  return program === null ? null : new LinearRegex(program, charge);
}

function compile(pattern: string): RE2JS | null {
  try {
    return RE2JS.compile(pattern);
  } catch (error) {
    if (error instanceof RE2JSException) return null;
    throw error;
  }
}

export class LinearRegex {
  readonly #program: RE2JS;
  readonly #charge: Charge;

  constructor(program: RE2JS, charge: Charge) {
    this.#program = program;
    this.#charge = charge;
  }

  test(text: string): boolean {
    return this.matches(text, 1).length > 0;
  }

  /** Numbers of the named groups. */
  get names(): Readonly<Record<string, number>> {
    return this.#program.namedGroups();
  }

  /**
   * The matches from left to right that do not overlap, at most `limit` (negative: all). As in Go, an empty match
   * right after another match does not count.
   */
  matches(text: string, limit: number): readonly Match[] {
    const found: Match[] = [];
    if (limit === 0) return found;
    const matcher = this.#program.matcher(this.#metered(text));
    const groups = matcher.groupCount();
    let end = -1;
    while (matcher.find()) {
      const [start, stop] = [matcher.start(), matcher.end()];
      const afterMatch = start === stop && start === end;
      end = stop;
      if (afterMatch) continue;
      this.#charge(STEPS_PER_LOOK * (groups + 1));
      found.push(
        Array.from({ length: 2 * groups + 2 }, (_, i) =>
          i % 2 === 0 ? matcher.start(i / 2) : matcher.end((i - 1) / 2),
        ),
      );
      if (found.length === limit) break;
    }
    return found;
  }

  /** The library reads texts through their methods, which lets us count. */
  #metered(text: string): string {
    const size = this.#program.programSize();
    const steps = STEPS_PER_LOOK + STEPS_PER_LOOK_AND_INSTRUCTION * size;
    return new MeteredText(text, this.#charge, steps) as unknown as string;
  }
}

class MeteredText extends String {
  readonly #charge: Charge;
  readonly #steps: number;
  #looks = 0;

  constructor(text: string, charge: Charge, stepsPerLook: number) {
    super(text);
    this.#charge = charge;
    this.#steps = stepsPerLook;
  }

  override charCodeAt(at: number): number {
    this.#look(1);
    return super.charCodeAt(at);
  }

  override codePointAt(at: number): number | undefined {
    this.#look(1);
    return super.codePointAt(at);
  }

  override indexOf(search: string, from = 0): number {
    const at = super.indexOf(search, from);
    this.#look(1 + ((at === -1 ? this.length : at) - from) / LOOKS_PER_CHARGE);
    return at;
  }

  #look(looks: number): void {
    this.#looks += looks;
    if (this.#looks < LOOKS_PER_CHARGE) return;
    this.#charge(this.#looks * this.#steps);
    this.#looks = 0;
  }
}
