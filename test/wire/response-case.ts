/**
 * Answers of bad tools as data: what the tool does with its connection, and what the client must then see. Pure.
 */
export type Step =
  /** Latin-1 bytes, sent at once. */
  | string
  | { readonly waitMs: number }
  /** Again and again until the connection ends. */
  | { readonly forever: string; readonly everyMs: number }
  | 'close'
  | 'reset'
  /** Leaves the connection open. */
  | 'hold';

export type Expected =
  | {
      readonly as: 'answer';
      readonly status: number;
      readonly body: string;
      /** Values a header must have; null: it must not be there. Several values are joined by `|`. */
      readonly headers: Readonly<Record<string, string | null>>;
    }
  /** Nothing of the answer reached the client. */
  | { readonly as: 'refused'; readonly reason: string }
  /** It began and was broken off: the client can tell. */
  | { readonly as: 'cut'; readonly reason: string };

export interface ResponseCase {
  readonly name: string;
  readonly method: string;
  readonly script: readonly Step[];
  readonly expected: Expected;
  /** The connection may not be used again. */
  readonly fresh: boolean;
}

type Script = string | readonly Step[];
type More = Partial<Pick<ResponseCase, 'method' | 'fresh'>>;

const stepsOf = (script: Script): readonly Step[] =>
  typeof script === 'string' ? [script, 'hold'] : script;

/** The client gets this answer, whole. */
export function passes(
  name: string,
  script: Script,
  expected: Partial<Extract<Expected, { as: 'answer' }>> = {},
  more: More = {},
): ResponseCase {
  const answer = { as: 'answer', status: 200, body: 'hello', headers: {}, ...expected } as const;
  return { name, method: 'GET', script: stepsOf(script), expected: answer, fresh: false, ...more };
}

/** The client gets a refusal with this reason instead. */
export function refused(
  name: string,
  script: Script,
  reason = 'upstream.bad_response',
  more: More = {},
): ResponseCase {
  const expected = { as: 'refused', reason } as const;
  return { name, method: 'GET', script: stepsOf(script), expected, fresh: true, ...more };
}

/** The client gets the beginning, and a broken connection. */
export function cut(name: string, script: Script, reason: string, more: More = {}): ResponseCase {
  const expected = { as: 'cut', reason } as const;
  return { name, method: 'GET', script: stepsOf(script), expected, fresh: true, ...more };
}

/** A response with these header lines and a body of five bytes. */
export const hello = (...lines: string[]): string =>
  `HTTP/1.1 200 OK\r\n${lines.map((line) => `${line}\r\n`).join('')}Content-Length: 5\r\n\r\nhello`;

/** A chunked response with exactly these bytes after its head. */
export const chunks = (bytes: string, ...lines: string[]): string =>
  `HTTP/1.1 200 OK\r\n${lines.map((line) => `${line}\r\n`).join('')}Transfer-Encoding: chunked\r\n\r\n${bytes}`;

/** A response with this status line, and a body of five bytes. */
export const said = (line: string): string => `${line}\r\nContent-Length: 5\r\n\r\nhello`;
