/**
 * `sprintf` of Rego with the semantics of Go's fmt package, so that a message reads the same here and in OPA. Policy
 * authors see Go's own marks for mistakes (`%!d(string=x)`, `%!(EXTRA …)`) instead of a failed decision.
 * Not covered: `%b` and `%x` of fractions. Widths are bounded, and output is charged before it is made. Pure.
 */
import { fixedDigits, generalDigits, scientificDigits } from './float-digits.ts';
import { type RegoValue, sortedRego } from './rego-value.ts';

/** What Go would hold: int64, big.Int (also a bigint), float64 or string. */
type Arg = bigint | number | string;

interface Flags {
  minus: boolean;
  plus: boolean;
  sharp: boolean;
  space: boolean;
  zero: boolean;
  /** Characters; null when not given. */
  width: number | null;
  precision: number | null;
  /** `%#v`: texts in quotes. */
  detailed: boolean;
}

/** Go's own bound; wider is a mistake in the format. */
const WIDTH_MAX = 1_000_000;
const DIGITS = /[0-9]+/y;

/**
 * @param charge is called with a number of characters before more are made; it throws to stop the evaluation.
 */
export function sprintf(
  format: string,
  values: readonly RegoValue[],
  charge: (characters: number) => void,
): string {
  return new Printer(format, values.map(goArg), charge).print();
}

function goArg(value: RegoValue): Arg {
  if (typeof value === 'string' || typeof value === 'bigint') return value;
  if (typeof value !== 'number') return goString(value);
  if (Number.isSafeInteger(value)) return BigInt(value);
  return Number.isInteger(value) ? String(value) : value;
}

/** How OPA writes a value in a message: `{"a": [1, true], "b": {2, 3}}`, keys sorted. */
export function goString(value: RegoValue): string {
  if (typeof value === 'string') return quoted(value, false);
  if (value === null || typeof value !== 'object') return String(value);
  if (value instanceof Map) {
    const keys = sortedRego(value.keys());
    return `{${keys.map((key) => `${goString(key)}: ${goString(value.get(key))}`).join(', ')}}`;
  }
  if (Array.isArray(value)) return `[${value.map(goString).join(', ')}]`;
  const items = sortedRego(value as ReadonlySet<RegoValue>);
  return items.length === 0 ? 'set()' : `{${items.map(goString).join(', ')}}`;
}

/** Owns the position in one format string. */
class Printer {
  readonly #format: string;
  readonly #args: readonly Arg[];
  readonly #charge: (characters: number) => void;
  #at = 0;
  #next = 0;
  #reordered = false;
  #goodIndex = true;
  #flags: Flags = newFlags();

  constructor(format: string, args: readonly Arg[], charge: (characters: number) => void) {
    this.#format = format;
    this.#args = args;
    this.#charge = charge;
  }

  print(): string {
    const parts: string[] = [];
    while (this.#at < this.#format.length) {
      const percent = this.#format.indexOf('%', this.#at);
      const end = percent === -1 ? this.#format.length : percent;
      parts.push(this.#format.slice(this.#at, end));
      this.#at = end + 1;
      if (percent !== -1) parts.push(this.#directive());
    }
    if (!this.#reordered && this.#next < this.#args.length) {
      this.#flags = newFlags();
      const extra = this.#args
        .slice(this.#next)
        .map((arg) => `${typeOf(arg)}=${this.#value(arg, 'v')}`);
      parts.push(`%!(EXTRA ${extra.join(', ')})`);
    }
    return parts.join('');
  }

  #directive(): string {
    this.#flags = newFlags();
    this.#goodIndex = true;
    this.#readFlags();
    let afterIndex = this.#index();
    let complaint = '';
    if (this.#take('*')) {
      const width = this.#count();
      if (width === null) complaint += '%!(BADWIDTH)';
      else if (width < 0) this.#flags.minus = true;
      this.#flags.width = width === null ? null : Math.abs(width);
      afterIndex = false;
    } else {
      this.#flags.width = this.#digits();
      if (afterIndex && this.#flags.width !== null) this.#goodIndex = false;
    }
    if (this.#at + 1 < this.#format.length && this.#take('.')) {
      if (afterIndex) this.#goodIndex = false;
      afterIndex = this.#index();
      if (this.#take('*')) {
        const precision = this.#count();
        if (precision === null) complaint += '%!(BADPREC)';
        this.#flags.precision = precision !== null && precision >= 0 ? precision : null;
        if (precision !== null && precision < 0) complaint += '%!(BADPREC)';
        afterIndex = false;
      } else {
        this.#flags.precision = this.#digits() ?? 0;
      }
    }
    if (!afterIndex) this.#index();
    return complaint + this.#verb();
  }

  #verb(): string {
    const code = this.#format.codePointAt(this.#at);
    if (code === undefined) return '%!(NOVERB)';
    const verb = String.fromCodePoint(code);
    this.#at += verb.length;
    if (verb === '%') return '%';
    if (!this.#goodIndex) return `%!${verb}(BADINDEX)`;
    const arg = this.#args[this.#next];
    if (arg === undefined) return `%!${verb}(MISSING)`;
    this.#next++;
    // As Go: with %v, the flags + and # ask for another form instead of a sign and a prefix.
    const { sharp, plus } = this.#flags;
    if (verb === 'v')
      this.#flags = {
        ...this.#flags,
        detailed: sharp,
        sharp: false,
        plus: plus && typeof arg === 'bigint' && !isInt64(arg),
      };
    return this.#value(arg, verb);
  }

  #readFlags(): void {
    const names = { '-': 'minus', '+': 'plus', '#': 'sharp', ' ': 'space', '0': 'zero' } as const;
    while (true) {
      const flag = names[this.#format[this.#at] as keyof typeof names];
      if (flag === undefined) return;
      this.#flags[flag] = true;
      this.#at++;
    }
  }

  #take(character: string): boolean {
    if (this.#format[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  /** Reads `[n]`; true when there was one. */
  #index(): boolean {
    if (this.#format[this.#at] !== '[') return false;
    this.#reordered = true;
    const close = this.#format.indexOf(']', this.#at);
    const text = close === -1 ? '' : this.#format.slice(this.#at + 1, close);
    this.#at = close === -1 ? this.#at + 1 : close + 1;
    const index = /^[0-9]{1,7}$/.test(text) ? Number(text) : 0;
    if (index >= 1 && index <= this.#args.length) this.#next = index - 1;
    else this.#goodIndex = false;
    return close !== -1;
  }

  #digits(): number | null {
    DIGITS.lastIndex = this.#at;
    const match = DIGITS.exec(this.#format);
    if (match === null) return null;
    this.#at = DIGITS.lastIndex;
    const value = Number(match[0]);
    if (value <= WIDTH_MAX) return value;
    this.#at = this.#format.length; // as Go: there is no verb after a number like that
    return null;
  }

  /** The argument that `*` stands for; null when it is no sensible count. */
  #count(): number | null {
    const arg = this.#args[this.#next];
    if (this.#next < this.#args.length) this.#next++;
    if (typeof arg !== 'bigint' || arg > WIDTH_MAX || arg < -WIDTH_MAX) return null;
    return Number(arg);
  }

  #value(arg: Arg, verb: string): string {
    const { width, precision } = this.#flags;
    this.#charge((width ?? 0) + (precision ?? 0));
    const text = formatted(arg, verb, this.#flags) ?? this.#misfit(arg, verb);
    this.#charge(text.length);
    return text;
  }

  #misfit(arg: Arg, verb: string): string {
    if (typeof arg === 'bigint' && !isInt64(arg)) return `%!${verb}(big.Int=${arg})`;
    return `%!${verb}(${typeOf(arg)}=${formatted(arg, 'v', { ...this.#flags, detailed: false })})`;
  }
}

const newFlags = (): Flags => ({
  minus: false,
  plus: false,
  sharp: false,
  space: false,
  zero: false,
  width: null,
  precision: null,
  detailed: false,
});

function typeOf(arg: Arg): string {
  if (typeof arg === 'string') return 'string';
  if (typeof arg === 'number') return 'float64';
  return isInt64(arg) ? 'int64' : '*big.Int';
}

const isInt64 = (value: bigint) => BigInt.asIntN(64, value) === value;

/** Null when the verb does not fit the type. */
function formatted(arg: Arg, verb: string, flags: Flags): string | null {
  if (verb === 'T') return formatString(typeOf(arg), 's', flags);
  if (typeof arg === 'string') return formatString(arg, verb, flags);
  if (typeof arg === 'number') return formatFloat(arg, verb, flags);
  return formatInteger(arg, verb, flags);
}

function pad(text: string, flags: Flags): string {
  const missing = (flags.width ?? 0) - [...text].length;
  if (missing <= 0) return text;
  if (flags.minus) return text + ' '.repeat(missing);
  return (flags.zero ? '0' : ' ').repeat(missing) + text;
}

function formatString(text: string, verb: string, flags: Flags): string | null {
  const cut = flags.precision === null ? text : [...text].slice(0, flags.precision).join('');
  switch (verb) {
    case 'v':
      return pad(flags.detailed ? quoted(cut, false) : cut, flags);
    case 's':
      return pad(cut, flags);
    case 'q':
      if (flags.sharp && !/[`\p{Cc}\ufeff]/u.test(cut.replaceAll('\t', ''))) {
        return pad(`\`${cut}\``, flags);
      }
      return pad(quoted(cut, flags.plus), flags);
    case 'x':
    case 'X':
      return pad(hexOf(text, verb === 'X', flags), flags);
    default:
      return null;
  }
}

function hexOf(text: string, upper: boolean, flags: Flags): string {
  let bytes = Buffer.from(text);
  if (flags.precision !== null) bytes = bytes.subarray(0, flags.precision);
  if (bytes.length === 0) return '';
  const prefix = flags.sharp ? '0x' : '';
  const pairs = [...bytes].map((byte) => byte.toString(16).padStart(2, '0'));
  const hex = flags.space ? pairs.map((pair) => prefix + pair).join(' ') : prefix + pairs.join('');
  return upper ? hex.toUpperCase() : hex;
}

/** Go's unicode.IsPrint. */
const PRINTABLE = /[\p{L}\p{M}\p{N}\p{P}\p{S} ]/u;

const ESCAPES: Readonly<Record<string, string>> = {
  '\x07': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '\\': '\\\\',
  '"': '\\"',
};

/** Go's strconv.Quote. */
function quoted(text: string, ascii: boolean, quote = '"'): string {
  let out = quote;
  for (const character of text) {
    const code = character.codePointAt(0) as number;
    const short = character === '"' && quote !== '"' ? undefined : ESCAPES[character];
    if (short !== undefined) out += short;
    else if (character === quote) out += `\\${quote}`;
    else if (ascii ? code >= 0x20 && code < 0x7f : PRINTABLE.test(character)) {
      out += character;
    } else out += escapedCode(code);
  }
  return out + quote;
}

function escapedCode(code: number): string {
  if (code < 0x20 || code === 0x7f) return `\\x${code.toString(16).padStart(2, '0')}`;
  if (code < 0x10000) return `\\u${code.toString(16).padStart(4, '0')}`;
  return `\\U${code.toString(16).padStart(8, '0')}`;
}

const BASES: Readonly<Record<string, { radix: number; prefix: string }>> = {
  v: { radix: 10, prefix: '' },
  d: { radix: 10, prefix: '' },
  b: { radix: 2, prefix: '0b' },
  o: { radix: 8, prefix: '' },
  O: { radix: 8, prefix: '' },
  x: { radix: 16, prefix: '0x' },
  X: { radix: 16, prefix: '0X' },
};

function formatInteger(value: bigint, verb: string, flags: Flags): string | null {
  const base = verb === 's' && !isInt64(value) ? BASES['d'] : BASES[verb];
  if (base === undefined) return isInt64(value) ? formatCharacter(value, verb, flags) : null;
  let digits = (value < 0n ? -value : value).toString(base.radix);
  if (verb === 'X') digits = digits.toUpperCase();
  const sign = value < 0n ? '-' : flags.plus ? '+' : flags.space ? ' ' : '';
  if (flags.precision !== null) {
    if (flags.precision === 0 && value === 0n) return ' '.repeat(flags.width ?? 0);
    digits = digits.padStart(flags.precision, '0');
  } else if (flags.zero && !flags.minus && flags.width !== null) {
    digits = digits.padStart(flags.width - sign.length, '0');
  }
  const octal =
    base.radix === 8 && flags.sharp && (verb === 'o' || isInt64(value)) && !digits.startsWith('0')
      ? '0'
      : '';
  const other = base.radix !== 8 && flags.sharp ? base.prefix : '';
  const prefix = (verb === 'O' ? '0o' : '') + octal + other;
  return pad(sign + prefix + digits, { ...flags, zero: false });
}

function formatCharacter(value: bigint, verb: string, flags: Flags): string | null {
  const valid = value >= 0n && value <= 0x10ffffn && !(value >= 0xd800n && value <= 0xdfffn);
  const character = valid ? String.fromCodePoint(Number(value)) : '\ufffd';
  if (verb === 'c') return pad(character, flags);
  if (verb === 'q') return pad(quoted(character, flags.plus, "'"), flags);
  if (verb !== 'U') return null;
  const digits = BigInt.asUintN(64, value).toString(16).toUpperCase();
  const name = `U+${digits.padStart(Math.max(4, flags.precision ?? 0), '0')}`;
  const shown = flags.sharp && valid && PRINTABLE.test(character) ? `${name} '${character}'` : name;
  return pad(shown, { ...flags, zero: false });
}

function formatFloat(value: number, verb: string, flags: Flags): string | null {
  const size = Math.abs(value);
  let digits: string;
  switch (verb) {
    case 'e':
    case 'E':
      digits = scientificDigits(size, flags.precision ?? 6);
      break;
    case 'f':
    case 'F':
      digits = fixedDigits(size, flags.precision ?? 6);
      break;
    case 'v':
    case 'g':
    case 'G':
      digits = generalDigits(size, flags.precision);
      break;
    default:
      return null;
  }
  if (verb === 'E' || verb === 'G') digits = digits.toUpperCase();
  const sign = value < 0 ? '-' : flags.plus ? '+' : flags.space ? ' ' : '';
  if (flags.zero && !flags.minus && flags.width !== null) {
    return sign + digits.padStart(flags.width - sign.length, '0');
  }
  return pad(sign + digits, { ...flags, zero: false });
}
