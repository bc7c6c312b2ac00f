/**
 * The part of Go's text/template that a message needs: fields, variables, `if`, `range`, `with` and comparisons.
 * Whatever else that language has stops the evaluation: an undefined message could be a deny that goes away. Pure.
 */
import { BuiltinRefused, isArray, isNumber, isObject } from './builtin.ts';
import { sprintf } from './builtins-sprintf.ts';
import { compareRego, type RegoObject, type RegoValue, sortedRego } from './rego-value.ts';

type Charge = (steps: number) => void;

const STEPS_PER_NODE = 2000;
const STEPS_PER_OUTPUT_CHARACTER = 200;

/** The template is not valid, or fails where Go's would. */
class TemplateError extends Error {
  override name = 'TemplateError';
}

/** Undefined when Go would report an error. */
export function renderTemplate(
  source: string,
  values: RegoObject,
  charge: Charge,
): string | undefined {
  try {
    const nodes = new Parser(piecesOf(source)).block([]).nodes;
    return new Renderer(values, charge).render(nodes).replaceAll('<no value>', '<undefined>');
  } catch (error) {
    if (error instanceof TemplateError) return undefined;
    throw error;
  }
}

/**
 * A number of the template itself. Numbers among the values are texts to Go's language: they never equal one of
 * these, and cannot be an index.
 */
class Count {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

type Operand = RegoValue | Count | undefined;

type Piece = { readonly text: string } | { readonly action: readonly string[] };

/** Text and the words of actions; `{{-` and `-}}` take the space around. */
function piecesOf(source: string): readonly Piece[] {
  const pieces: Piece[] = [];
  let rest = source;
  while (rest !== '') {
    const open = rest.indexOf('{{');
    let text = open === -1 ? rest : rest.slice(0, open);
    if (open !== -1 && /^\{\{- /.test(rest.slice(open))) text = text.trimEnd();
    if (text !== '') pieces.push({ text });
    if (open === -1) break;
    const inside =
      /^\{\{(?:- )?((?:\/\*[\s\S]*?\*\/|"(?:[^"\\\n]|\\.)*"|`[^`]*`|(?!\}\})[^"`])*?)( -)?\}\}/.exec(
        rest.slice(open),
      );
    if (inside === null) throw new TemplateError('unclosed action');
    const action = (inside[1] as string).trim();
    if (!/^\/\*[\s\S]*\*\/$/.test(action)) pieces.push({ action: wordsOf(action) });
    rest = rest.slice(open + inside[0].length);
    if (inside[2] !== undefined) rest = rest.trimStart();
  }
  return pieces;
}

const WORD =
  /\s+|"(?:[^"\\\n]|\\.)*"|`[^`]*`|:=|[|(),=]|\$?[A-Za-z_0-9]*(?:\.[A-Za-z_][A-Za-z_0-9]*)+|\$[A-Za-z_0-9]*|\.|[A-Za-z_][A-Za-z_0-9]*|[-+]?[0-9][0-9.eE]*/y;

function wordsOf(action: string): readonly string[] {
  const words: string[] = [];
  WORD.lastIndex = 0;
  while (WORD.lastIndex < action.length) {
    const found = WORD.exec(action);
    if (found === null) throw new BuiltinRefused(`strings.render_template: ${action}`);
    if (found[0].trim() !== '') words.push(found[0]);
  }
  return words;
}

type Node =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'print'; readonly pipe: readonly string[] }
  | { readonly kind: 'set'; readonly names: readonly string[]; readonly pipe: readonly string[] }
  | {
      readonly kind: 'if' | 'with' | 'range';
      readonly names: readonly string[];
      readonly pipe: readonly string[];
      readonly body: readonly Node[];
      readonly otherwise: readonly Node[];
    };

const REFUSED = ['define', 'template', 'block', 'break', 'continue'];

/** Owns the position among the pieces. */
class Parser {
  readonly #pieces: readonly Piece[];
  #at = 0;

  constructor(pieces: readonly Piece[]) {
    this.#pieces = pieces;
  }

  /** Up to one of the ends, which is not part of the block. */
  block(ends: readonly string[]): { nodes: readonly Node[]; end: readonly string[] } {
    const nodes: Node[] = [];
    for (; this.#at < this.#pieces.length; ) {
      const piece = this.#pieces[this.#at++] as Piece;
      if ('text' in piece) {
        nodes.push({ kind: 'text', text: piece.text });
        continue;
      }
      const [first = '', ...others] = piece.action;
      if (ends.includes(first)) return { nodes, end: piece.action };
      if (first === 'else' || first === 'end') throw new TemplateError('unexpected end');
      if (REFUSED.includes(first)) throw new BuiltinRefused(`strings.render_template: ${first}`);
      if (first === 'if' || first === 'with' || first === 'range') {
        nodes.push(this.#nested(first, others));
        continue;
      }
      const { names, pipe } = declaration(piece.action);
      nodes.push(names.length > 0 ? { kind: 'set', names, pipe } : { kind: 'print', pipe });
    }
    if (ends.length > 0) throw new TemplateError('missing end');
    return { nodes, end: [] };
  }

  #nested(kind: 'if' | 'with' | 'range', words: readonly string[]): Node {
    const { names, pipe } = declaration(words);
    const { nodes: body, end } = this.block(['else', 'end']);
    let otherwise: readonly Node[] = [];
    if (end[0] === 'else') {
      const [next, ...rest] = end.slice(1);
      if (next === 'if' || next === 'with') otherwise = [this.#nested(next, rest)];
      else otherwise = this.block(['end']).nodes;
    }
    return { kind, names, pipe, body, otherwise };
  }
}

/** `$a, $b := pipe`. */
function declaration(words: readonly string[]) {
  const at = words.findIndex((word) => word === ':=' || word === '=');
  if (at === -1) return { names: [], pipe: words };
  const names = words.slice(0, at).filter((word) => word !== ',');
  return { names, pipe: words.slice(at + 1) };
}

class Renderer {
  readonly #root: RegoValue;
  readonly #charge: Charge;
  #variables: readonly (readonly [string, Operand])[];

  constructor(root: RegoValue, charge: Charge) {
    this.#root = root;
    this.#charge = charge;
    this.#variables = [['$', root]];
  }

  render(nodes: readonly Node[], dot: Operand = this.#root): string {
    const outer = this.#variables;
    const text = nodes.map((node) => this.#node(node, dot)).join('');
    this.#variables = outer;
    return text;
  }

  #node(node: Node, dot: Operand): string {
    this.#charge(STEPS_PER_NODE);
    if (node.kind === 'text') {
      this.#charge(node.text.length * STEPS_PER_OUTPUT_CHARACTER);
      return node.text;
    }
    const value = this.#pipe(node.pipe, dot);
    if (node.kind === 'print') {
      const text = shown(value);
      this.#charge(text.length * STEPS_PER_OUTPUT_CHARACTER);
      return text;
    }
    if (node.kind === 'set') {
      this.#bind(node.names[0] as string, value);
      return '';
    }
    const outer = this.#variables;
    const text = this.#nested(node, value, dot);
    this.#variables = outer;
    return text;
  }

  #bind(name: string, value: Operand): void {
    this.#variables = [[name, value], ...this.#variables];
  }

  #nested(node: Extract<Node, { body: unknown }>, value: Operand, dot: Operand): string {
    if (node.kind === 'range') return this.#range(node, value, dot);
    if (node.names[0] !== undefined) this.#bind(node.names[0], value);
    if (!truth(value)) return this.render(node.otherwise, dot);
    return this.render(node.body, node.kind === 'with' ? value : dot);
  }

  #range(node: Extract<Node, { body: unknown }>, value: Operand, dot: Operand): string {
    let entries: readonly (readonly [Operand, RegoValue])[] = [];
    if (isArray(value)) entries = value.map((item, i) => [new Count(i), item] as const);
    else if (isObject(value)) {
      entries = sortedRego(value.keys()).map((key) => [key, value.get(key) as RegoValue] as const);
    } else if (value !== undefined && value !== null) throw new TemplateError('range over a value');
    if (entries.length === 0) return this.render(node.otherwise, dot);
    const [first, second] = node.names;
    const outer = this.#variables;
    const parts = entries.map(([key, item]) => {
      if (second !== undefined) this.#bind(second, item);
      if (first !== undefined) this.#bind(first, second === undefined ? item : key);
      const text = this.render(node.body, item);
      this.#variables = outer;
      return text;
    });
    return parts.join('');
  }

  /** Commands from left to right; each result is the last argument of the next one. */
  #pipe(words: readonly string[], dot: Operand): Operand {
    const commands: string[][] = [[]];
    let depth = 0;
    for (const word of words) {
      depth += word === '(' ? 1 : word === ')' ? -1 : 0;
      if (word === '|' && depth === 0) commands.push([]);
      else commands.at(-1)?.push(word);
    }
    if (depth !== 0) throw new TemplateError('parentheses');
    let result: readonly Operand[] = [];
    for (const command of commands) result = [this.#command(command, dot, result)];
    return result[0];
  }

  #command(words: readonly string[], dot: Operand, piped: readonly Operand[]): Operand {
    this.#charge(STEPS_PER_NODE);
    const [first, ...rest] = words;
    if (first === undefined) throw new TemplateError('empty command');
    const isFunction = /^[A-Za-z_]/.test(first) && !['true', 'false', 'nil'].includes(first);
    const operands = this.#operands(isFunction ? rest : words, dot);
    if (isFunction) return call(first, [...operands, ...piped], this.#charge);
    if (operands.length !== 1 || piped.length > 0) throw new TemplateError('no function');
    return operands[0];
  }

  #operands(words: readonly string[], dot: Operand) {
    const operands: Operand[] = [];
    for (let at = 0; at < words.length; at++) {
      const word = words[at] as string;
      if (word !== '(') {
        operands.push(this.#operand(word, dot));
        continue;
      }
      const start = at + 1;
      for (let depth = 1; depth > 0; ) {
        at++;
        depth += words[at] === '(' ? 1 : words[at] === ')' ? -1 : 0;
      }
      operands.push(this.#pipe(words.slice(start, at), dot));
    }
    return operands;
  }

  #operand(word: string, dot: Operand): Operand {
    if (word === '.') return dot;
    if (word.startsWith('`')) return word.slice(1, -1);
    if (word.startsWith('"')) return JSON.parse(word) as string;
    if (word === 'true' || word === 'false') return word === 'true';
    if (/^[-+]?[0-9]/.test(word)) return new Count(Number(word));
    const [start = '', ...fields] = word.split('.');
    let value: Operand = dot;
    if (start !== '') {
      const variable = this.#variables.find(([name]) => name === start);
      if (variable === undefined) throw new TemplateError(`no ${start}`);
      [, value] = variable;
    }
    for (const field of fields) {
      if (value === undefined || value === null) throw new TemplateError('field of nothing');
      if (!isObject(value)) throw new TemplateError('field of a value');
      value = value.get(field);
    }
    return value;
  }
}

function truth(value: Operand): boolean {
  if (value instanceof Count) return value.value !== 0;
  if (isArray(value)) return value.length > 0;
  if (isObject(value)) return value.size > 0;
  return Boolean(value);
}

function shown(value: Operand): string {
  if (value === undefined || value === null) return '<no value>';
  if (value instanceof Count) return String(value.value);
  if (isArray(value)) return `[${value.map(inner).join(' ')}]`;
  if (!isObject(value)) return String(value);
  const members = sortedRego(value.keys()).map((key) => `${inner(key)}:${inner(value.get(key))}`);
  return `map[${members.join(' ')}]`;
}

const inner = (value: Operand) => (value === null || value === undefined ? '<nil>' : shown(value));

type Arguments = readonly Operand[];

function call(name: string, args: Arguments, charge: Charge): Operand {
  const [a, b] = args;
  switch (name) {
    case 'and':
      return args.find((value) => !truth(value)) ?? args.at(-1);
    case 'or':
      return args.find(truth) ?? args.at(-1);
    case 'not':
      return !truth(a);
    case 'len':
      if (typeof a === 'string') return new Count(Buffer.byteLength(a));
      if (isArray(a)) return new Count(a.length);
      if (isObject(a)) return new Count(a.size);
      throw new TemplateError('len of a value');
    case 'index':
      return args.slice(1).reduce(item, a);
    case 'print':
    case 'println':
    case 'printf': {
      if (name === 'printf') {
        const pay = (characters: number) => charge(characters * STEPS_PER_OUTPUT_CHARACTER);
        if (typeof a !== 'string') throw new TemplateError('printf without a format');
        return sprintf(a, args.slice(1).map(printed), pay);
      }
      return name === 'println' ? `${args.map(inner).join(' ')}\n` : args.map(inner).join('');
    }
    case 'eq':
      return args.slice(1).some((other) => comparison(a, other) === 0);
    default:
      return compared(name, comparison(a, b));
  }
}

const printed = (value: Operand): RegoValue =>
  value instanceof Count ? value.value : typeof value === 'boolean' ? value : inner(value);

function item(value: Operand, key: Operand): Operand {
  if (isObject(value) && typeof key === 'string') return value.get(key);
  if (isArray(value) && key instanceof Count && key.value in value) return value[key.value];
  throw new TemplateError('index of a value');
}

function comparison(a: Operand, b: Operand): number {
  if (a instanceof Count && b instanceof Count) return a.value - b.value;
  const [x, y] = [a, b].map((value) => (isNumber(value) ? String(value) : value));
  const texts = typeof x === 'string' && typeof y === 'string';
  const booleans = typeof x === 'boolean' && typeof y === 'boolean';
  if (!texts && !booleans) throw new TemplateError('values that do not compare');
  return compareRego(x as RegoValue, y as RegoValue);
}

function compared(name: string, order: number): boolean {
  const answers: Readonly<Record<string, boolean>> = {
    ne: order !== 0,
    lt: order < 0,
    le: order <= 0,
    gt: order > 0,
    ge: order >= 0,
  };
  const answer = answers[name];
  if (answer === undefined) throw new BuiltinRefused(`strings.render_template: ${name}`);
  return answer;
}
