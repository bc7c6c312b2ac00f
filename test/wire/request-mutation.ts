/**
 * Broken and odd requests made from sound ones by a generator with a seed: bytes deleted, inserted and replaced, fields
 * doubled and dropped, bodies cut into chunks again, targets bent, requests run together or cut apart. Pure.
 */
import type { Dice } from './response-dice.ts';

const PIECES = [
  '\r',
  '\n',
  '\r\n',
  '\r\n\r\n',
  '\0',
  ':',
  '\t',
  ' ',
  ';',
  ',',
  '%',
  '%2f',
  '%2e',
  '%00',
  '/',
  '//',
  '/../',
  '/./',
  '\\',
  '?',
  '#',
  '@',
  '&',
  '=',
  '"',
  '0',
  '1',
  '-',
  '+',
  '_',
  'a',
  '\x0b',
  '\x7f',
  '\x80',
  '\xff',
  '\xc0\xaf',
] as const;

const FIELDS = [
  'Content-Length: 0',
  'Content-Length: 5',
  'Content-Length: 05',
  'Content-Length: 5, 5',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: gzip, chunked',
  'Transfer-Encoding: identity',
  'Transfer_Encoding: chunked',
  'Transfer-Encoding : chunked',
  'Transfer-Encoding:\x0bchunked',
  'Host: other.example',
  'Host: 127.0.0.1',
  'Connection: close',
  'Connection: Host, Content-Length',
  'Connection: keep-alive, X-A',
  'Content-Encoding: gzip',
  'Content-Type: application/json',
  'Content-Type: application/x-www-form-urlencoded',
  'Content-Type: text/plain; charset=utf-16',
  'Expect: 100-continue',
  'Upgrade: h2c',
  'Upgrade: websocket',
  'TE: trailers',
  'Trailer: X-A',
  'X-A: b',
  'X-Forwarded-Host: other.example',
  'X-HTTP-Method-Override: DELETE',
  'Authorization: Bearer a',
  'Cookie: a=b',
  'Mcp-Name: read_email',
  'MCP-Protocol-Version: 2026-07-28',
  'Range: bytes=0-',
  'Accept-Encoding: gzip',
  ' folded',
  '',
] as const;

const METHODS = [
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
  'CONNECT',
  'TRACE',
  'get',
];
const TARGETS = [
  '/..',
  '/%2e%2e',
  '//',
  '/;a',
  '?',
  '??a=b',
  '?a=%00',
  '#a',
  '/%41',
  '/%c3%a9',
  '/%c3',
  '*',
  ':80',
];
const VERSIONS = ['HTTP/1.0', 'HTTP/1.1', 'HTTP/2.0', 'HTTP/0.9', 'HTTP/1.2', ''];

type Mutation = (text: string, dice: Dice) => string;

const splice = (text: string, at: number, drop: number, put: string) =>
  text.slice(0, at) + put + text.slice(at + drop);

/** Mostly in the head, where more depends on a byte. */
function placeIn(text: string, dice: Dice): number {
  const head = text.indexOf('\r\n\r\n') + 4;
  return dice.below(dice.chance(0.8) && head > 4 ? head : text.length + 1);
}

const lines: (change: (lines: string[], dice: Dice) => void) => Mutation =
  (change) => (text, dice) => {
    const end = text.indexOf('\r\n\r\n');
    if (end === -1) return text;
    const head = text.slice(0, end).split('\r\n');
    change(head, dice);
    return head.join('\r\n') + text.slice(end);
  };

/** Method, target and version: one of them is another. */
const requestLine: (change: (parts: string[], dice: Dice) => void) => Mutation = (change) =>
  lines((head, dice) => {
    const parts = (head[0] ?? '').split(' ');
    change(parts, dice);
    head[0] = parts.join(' ');
  });

const MUTATIONS: readonly Mutation[] = [
  (text, dice) => splice(text, placeIn(text, dice), 1 + dice.below(4), ''),
  (text, dice) => splice(text, placeIn(text, dice), 0, dice.pick(PIECES)),
  (text, dice) => splice(text, placeIn(text, dice), 1, dice.pick(PIECES)),
  (text, dice) => splice(text, placeIn(text, dice), 1, String.fromCharCode(dice.below(256))),
  (text, dice) => text.slice(0, placeIn(text, dice)),
  lines((head, dice) => head.splice(1 + dice.below(head.length), 0, dice.pick(FIELDS))),
  lines((head, dice) => head.push(dice.pick(head))),
  lines((head, dice) => {
    if (head.length > 1) head.splice(1 + dice.below(head.length - 1), 1);
  }),
  lines((head, dice) => {
    if (head.length > 1) head[1 + dice.below(head.length - 1)] = dice.pick(FIELDS);
  }),
  requestLine((parts, dice) => {
    parts[0] = dice.pick(METHODS);
  }),
  requestLine((parts, dice) => {
    parts[1] = (parts[1] ?? '') + dice.pick(TARGETS);
  }),
  requestLine((parts, dice) => {
    const target = parts[1] ?? '';
    parts[1] = splice(target, dice.below(target.length + 1), 0, dice.pick(TARGETS));
  }),
  requestLine((parts, dice) => {
    parts[2] = dice.pick(VERSIONS);
  }),
  rechunked,
  resized,
];

/** The body in chunks of other sizes, some with an extension, a trailer, or a size that is not true. */
function rechunked(text: string, dice: Dice): string {
  const end = text.indexOf('\r\n\r\n');
  if (end === -1) return text;
  const head = text
    .slice(0, end)
    .split('\r\n')
    .filter((line) => !/^(content-length|transfer-encoding)/i.test(line));
  let rest = text.slice(end + 4);
  let body = '';
  while (rest !== '') {
    const size = 1 + dice.below(Math.min(rest.length, 64));
    const said = dice.chance(0.02) ? size + 1 : size;
    const extension = dice.chance(0.1) ? dice.pick([';a', ';a=b', ';a="b"', ';', ' ;a']) : '';
    body += `${said.toString(16)}${extension}\r\n${rest.slice(0, size)}\r\n`;
    rest = rest.slice(size);
  }
  const trailer = dice.chance(0.3) ? `${dice.pick(FIELDS)}\r\n` : '';
  const method = dice.chance(0.7)
    ? (head[0] ?? '').replace(/^(GET|HEAD|DELETE)\b/, 'POST')
    : head[0];
  const lines = [method, ...head.slice(1), 'Transfer-Encoding: chunked'];
  return `${lines.join('\r\n')}\r\n\r\n${body}0\r\n${trailer}\r\n`;
}

/** A length that is a little off. */
function resized(text: string, dice: Dice): string {
  return text.replace(/content-length: *(\d+)/i, (_, length: string) => {
    const off = Number(length) + dice.pick([-1, 1, -2, 2, 10]);
    return `Content-Length: ${Math.max(0, off)}`;
  });
}

/** @returns what is written to one connection, a piece at a time. */
export function mutatedRequest(base: () => string, dice: Dice): string[] {
  let text = base();
  for (let left = dice.below(4); left > 0; left -= 1) text = dice.pick(MUTATIONS)(text, dice);
  if (dice.chance(0.15)) text += base();
  if (dice.chance(0.05)) text = dice.pick(MUTATIONS)(text, dice);
  if (!dice.chance(0.1)) return [text];
  const at = dice.below(text.length + 1);
  return [text.slice(0, at), text.slice(at)];
}
