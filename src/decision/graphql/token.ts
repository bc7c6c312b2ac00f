/**
 * GraphQL texts as tokens, with the comments before each. Every token charges, so a long text cannot run on. Pure.
 */

/** The text or document is not valid. Only inside of this folder. */
export class GraphqlError extends Error {
  override name = 'GraphqlError';
}

export type TokenKind =
  | 'end'
  | 'name'
  | 'int'
  | 'float'
  | 'string'
  | 'block'
  | '!'
  | '$'
  | '&'
  | '('
  | ')'
  | '...'
  | ':'
  | '='
  | '@'
  | '['
  | ']'
  | '{'
  | '}'
  | '|';

interface Token {
  readonly kind: TokenKind;
  readonly value: string;
}

const IGNORED = /[\t ,\n\r\ufeff]*/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones that are refused
const COMMENT = /#[^\u0000-\u0008\u000a-\u001f]*/y;
const NAME = /[_A-Za-z][_0-9A-Za-z]*/y;
const NUMBER = /-?(?:0(?![0-9])|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
const PUNCTUATOR = /\.\.\.|[!$&():=@[\]{}|]/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones that are refused
const STRING = /"((?:[^"\\\u0000-\u0008\u000a-\u001f]|\\(?:u[0-9a-fA-F]{4}|["\\/bfnrt]))*)"/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones that are refused
const BLOCK = /"""((?:\\"""|(?!""")[^\u0000-\u0008\u000b\u000c\u000e-\u001f])*)("*)"""/y;

const STEPS_PER_TOKEN = 5000;

const ESCAPES: Readonly<Record<string, string>> = {
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};

/** Owns the position in one text. */
export class TokenReader {
  readonly #text: string;
  readonly #charge: (steps: number) => void;
  #at = 0;
  #peeked: Token | null = null;
  /** Comments right before the token that comes next. */
  comment: readonly string[] = [];
  /** Comments right before the mark that closed the last list. */
  endComment: readonly string[] = [];

  constructor(text: string, charge: (steps: number) => void) {
    this.#text = text;
    this.#charge = charge;
  }

  /** Comments right before the token that comes next. */
  comments(): readonly string[] {
    this.peek();
    return this.comment;
  }

  peek(): Token {
    if (this.#peeked === null) {
      this.comment = this.#skipIgnored();
      this.#peeked = this.#read();
    }
    return this.#peeked;
  }

  next(): Token {
    const token = this.peek();
    this.#peeked = null;
    this.comment = [];
    return token;
  }

  is(kind: TokenKind, value?: string): boolean {
    const token = this.peek();
    return token.kind === kind && (value === undefined || token.value === value);
  }

  skip(kind: TokenKind): boolean {
    const found = this.is(kind);
    if (found) this.next();
    return found;
  }

  expect(kind: TokenKind, value?: string): Token {
    if (!this.is(kind, value)) this.unexpected();
    return this.next();
  }

  unexpected(): never {
    throw new GraphqlError('unexpected token');
  }

  /** Items between two marks, when the first one is there: at least one when `some`. */
  between<T>(open: TokenKind, close: TokenKind, item: () => T, some = true): readonly T[] {
    const items: T[] = [];
    if (!this.skip(open)) return items;
    while (!this.is(close)) items.push(item());
    if (some && items.length === 0) this.unexpected();
    this.endComment = this.comment;
    this.next();
    return items;
  }

  #skipIgnored(): readonly string[] {
    const comments: string[] = [];
    while (true) {
      this.#match(IGNORED);
      const found = this.#match(COMMENT);
      if (found === null) return comments;
      comments.push(found[0]);
    }
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text);
    if (found !== null) this.#at = pattern.lastIndex;
    return found;
  }

  #read(): Token {
    this.#charge(STEPS_PER_TOKEN);
    if (this.#at === this.#text.length) return { kind: 'end', value: '' };
    const name = this.#match(NAME);
    if (name !== null) return { kind: 'name', value: name[0] };
    const mark = this.#match(PUNCTUATOR);
    if (mark !== null) return { kind: mark[0] as TokenKind, value: '' };
    const number = this.#match(NUMBER);
    if (number !== null) {
      const whole = number[1] === undefined && number[2] === undefined;
      if (/^(?:\.|[eE])/.test(this.#text.slice(this.#at, this.#at + 1))) this.unexpected();
      return { kind: whole ? 'int' : 'float', value: number[0] };
    }
    if (this.#text.startsWith('"""', this.#at)) {
      const block = this.#match(BLOCK);
      if (block === null) this.unexpected();
      const raw = (block[1] as string).replaceAll('\\"""', '"""') + (block[2] as string);
      return { kind: 'block', value: blockValue(raw.replace(/\r\n?/g, '\n')) };
    }
    const string = this.#match(STRING);
    if (string === null) this.unexpected();
    return { kind: 'string', value: unescaped(string[1] as string) };
  }
}

const unescaped = (text: string) =>
  text.replace(/\\(?:u(.{4})|(.))/g, (_, hex: string | undefined, mark: string) => {
    if (hex === undefined) return ESCAPES[mark] ?? mark;
    return String.fromCharCode(Number.parseInt(hex, 16)).toWellFormed();
  });

/** Without the common indentation and the blank lines around. */
function blockValue(raw: string): string {
  const lines = raw.split('\n');
  const blank = (line: string | undefined) => /^[ \t]*$/.test(line ?? 'x');
  const indents = lines.filter((line) => !blank(line)).map((line) => line.search(/[^ \t]/));
  const common = indents.reduce((least, indent) => Math.min(least, indent), Infinity);
  const cut = lines.map((line, i) => (i === 0 || common === Infinity ? line : line.slice(common)));
  while (cut.length > 0 && blank(cut[0])) cut.shift();
  while (cut.length > 0 && blank(cut.at(-1))) cut.pop();
  return cut.join('\n');
}
