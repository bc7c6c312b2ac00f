/**
 * `regex.globs_match`: whether two patterns of characters, `.`, sets and the repetitions `*` and `+` have a text in
 * common. Answers as OPA's library does, which follows one pattern through the other from left to right; remembering
 * what was asked before keeps it polynomial. Pure.
 */
import { type Builtin, ofTexts } from './builtin.ts';

type Range = readonly [from: number, to: number];

interface Token {
  /** The characters it takes; null for any. */
  readonly ranges: readonly Range[] | null;
  readonly isSet: boolean;
  readonly repeat: '' | '*' | '+';
}

const CODE_POINT_MAX = 0x10ffff;
const STEPS_PER_QUESTION = 500;
/** Of characters: no two tokens have more pairs of ranges than the patterns have pairs of characters. */
const STEPS_PER_PAIR = 20;

const globsMatch = ofTexts((a, b, { charge }) => {
  const [x, y] = [tokensOf(a), tokensOf(b)];
  if (x === null || y === null) return undefined;
  charge(a.length * b.length * STEPS_PER_PAIR);
  const trimmed = trim(x, y);
  return trimmed !== null && new Intersection(...trimmed, charge).normal(0, 0);
});

/** Null when the pattern is not valid. */
function tokensOf(text: string): readonly Token[] | null {
  const characters = [...text];
  const tokens: Token[] = [];
  for (let at = 0; at < characters.length; ) {
    const character = characters[at] as string;
    let token: Omit<Token, 'repeat'> | null;
    if (character === '[') {
      const read = readSet(characters, at + 1);
      if (read === null) return null;
      [token, at] = read;
    } else {
      if (']+*'.includes(character)) return null;
      const escaped = character === '\\';
      const literal = escaped ? characters[at + 1] : character;
      if (literal === undefined) return null;
      token = { ranges: character === '.' ? null : [single(literal)], isSet: false };
      at += escaped ? 2 : 1;
    }
    const mark = characters[at];
    const repeat = mark === '*' || mark === '+' ? mark : '';
    if (repeat !== '') at++;
    push(tokens, { ...token, repeat });
  }
  return tokens;
}

const single = (character: string): Range => {
  const code = character.codePointAt(0) as number;
  return [code, code];
};

/** Two repetitions of the same in a row are one. */
function push(tokens: Token[], token: Token): void {
  const last = tokens.at(-1);
  const same =
    last !== undefined &&
    last.repeat !== '' &&
    token.repeat !== '' &&
    last.isSet === token.isSet &&
    content(last) === content(token);
  if (!same) tokens.push(token);
  else if (token.repeat === '+') tokens[tokens.length - 1] = token;
}

/** One text for equal sets of characters. */
function content({ ranges }: Token): string {
  const merged: [number, number][] = [];
  for (const [from, to] of [...(ranges ?? [[0, CODE_POINT_MAX]])].sort((a, b) => a[0] - b[0])) {
    const last = merged.at(-1);
    if (last !== undefined && from <= last[1] + 1) last[1] = Math.max(last[1], to);
    else merged.push([from, to]);
  }
  return merged.join(';');
}

/** Reads the set after its `[`; also where the next token starts. */
function readSet(
  characters: readonly string[],
  start: number,
): [{ ranges: readonly Range[]; isSet: boolean }, number] | null {
  const ranges: Range[] = [];
  let previous: string | null = null;
  for (let at = start; at < characters.length; ) {
    const character = characters[at];
    if (character === ']') return [{ ranges, isSet: true }, at + 1];
    if (character === '-') {
      const escaped = characters[at + 1] === '\\';
      const end = characters[at + (escaped ? 2 : 1)];
      if (previous === null || end === undefined) return null;
      if (!escaped && (end === ']' || end === '-')) return null;
      const range: Range = [single(previous)[0], single(end)[0]];
      if (range[1] < range[0]) return null;
      ranges.push(range);
      previous = null;
      at += escaped ? 3 : 2;
    } else {
      const escaped = character === '\\';
      previous = characters[at + (escaped ? 1 : 0)] ?? null;
      if (previous === null) return null;
      ranges.push(single(previous));
      at += escaped ? 2 : 1;
    }
  }
  return null;
}

/** Two sets meet when they share a character; any other pair with a dot always meets. */
function meet(a: Token, b: Token): boolean {
  const [x, y] = [a.ranges, b.ranges];
  if (x === null || y === null) return true;
  return x.some(([from, to]) => y.some((other) => from <= other[1] && other[0] <= to));
}

/** Drops equal ends that do not repeat, except for one token at each end; null when they differ. */
function trim(
  a: readonly Token[],
  b: readonly Token[],
): [readonly Token[], readonly Token[]] | null {
  const plain = (x: Token | undefined, y: Token | undefined): boolean =>
    x !== undefined && y !== undefined && x.repeat === '' && y.repeat === '';
  let left = 0;
  for (; plain(a[left], b[left]); left++)
    if (!meet(a[left] as Token, b[left] as Token)) return null;
  if (left > 0) left--;
  let [i, j] = [a.length - 1, b.length - 1];
  for (; i >= left && j >= left && plain(a[i], b[j]); i--, j--)
    if (!meet(a[i] as Token, b[j] as Token)) return null;
  const kept = i < a.length - 1 ? 1 : 0;
  return [a.slice(left, i + kept + 1), b.slice(left, j + kept + 1)];
}

/** Owns the answers about the ends of the two patterns. */
class Intersection {
  readonly #sides: readonly [readonly Token[], readonly Token[]];
  readonly #charge: (steps: number) => void;
  readonly #known = new Map<string, boolean>();

  constructor(a: readonly Token[], b: readonly Token[], charge: (steps: number) => void) {
    this.#sides = [a, b];
    this.#charge = charge;
  }

  normal(i: number, j: number): boolean {
    const [a, b] = this.#sides;
    while (i < a.length && j < b.length) {
      const [x, y] = [a[i] as Token, b[j] as Token];
      if (x.repeat !== '') return this.#repeated(0, x.repeat, i, j);
      if (y.repeat !== '') return this.#repeated(1, y.repeat, j, i);
      if (!meet(x, y)) return false;
      i++;
      j++;
    }
    return i === a.length && j === b.length;
  }

  /** The token at `i` of one side repeats; `j` is where the other side stands. */
  #repeated(side: 0 | 1, repeat: '*' | '+', i: number, j: number): boolean {
    return this.#once(`${side}${repeat}${i},${j}`, () => {
      if (repeat === '*') return this.#star(side, i, j);
      const own = this.#sides[side][i] as Token;
      const other = this.#sides[1 - side]?.[j] as Token;
      if (!meet(own, other)) return false;
      if (this.#once(`${side}*${i},${j + 1}`, () => this.#star(side, i, j + 1))) return true;
      return other.repeat !== '' && this.#between(side, i + 1, j);
    });
  }

  /** The repeating token takes tokens of the other side until the rest fits. */
  #star(side: 0 | 1, i: number, j: number): boolean {
    const [own, other] = [this.#sides[side], this.#sides[1 - side] as readonly Token[]];
    const next = own[i + 1];
    for (let at = j; at < other.length; at++) {
      const token = other[at] as Token;
      this.#charge(STEPS_PER_QUESTION * (1 + (token.ranges?.length ?? 0)));
      if (next !== undefined && meet(token, next) && this.#between(side, i + 1, at)) return true;
      if (!meet(token, own[i] as Token)) return false;
    }
    return next === undefined;
  }

  #between(side: 0 | 1, i: number, j: number): boolean {
    return side === 0 ? this.normal(i, j) : this.normal(j, i);
  }

  #once(question: string, answer: () => boolean): boolean {
    this.#charge(STEPS_PER_QUESTION);
    const known = this.#known.get(question);
    if (known !== undefined) return known;
    const found = answer();
    this.#known.set(question, found);
    return found;
  }
}

export const GLOBS_MATCH_BUILTINS: Readonly<Record<string, Builtin>> = {
  'regex.globs_match': globsMatch,
};
