/**
 * Broken and odd requests made from sound ones by a generator with a seed: bytes deleted, inserted and replaced, fields
 * doubled and dropped, bodies cut into chunks again, targets bent, requests run together or cut apart. Pure.
 */
/** From 0 up to 1, the same every time for a seed. */
export type Random = () => number;

/** Mulberry32. */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const below = (random: Random, limit: number) => Math.floor(random() * limit);
export const oneOf = <T>(random: Random, list: readonly T[]): T =>
  list[below(random, list.length)] as T;

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

type Mutation = (text: string, random: Random) => string;

const splice = (text: string, at: number, drop: number, put: string) =>
  text.slice(0, at) + put + text.slice(at + drop);

/** Mostly in the head, where more depends on a byte. */
function placeIn(text: string, random: Random): number {
  const head = text.indexOf('\r\n\r\n') + 4;
  return below(random, random() < 0.8 && head > 4 ? head : text.length + 1);
}

const lines: (change: (lines: string[], random: Random) => void) => Mutation =
  (change) => (text, random) => {
    const end = text.indexOf('\r\n\r\n');
    if (end === -1) return text;
    const head = text.slice(0, end).split('\r\n');
    change(head, random);
    return head.join('\r\n') + text.slice(end);
  };

/** Method, target and version: one of them is another. */
const requestLine: (change: (parts: string[], random: Random) => void) => Mutation = (change) =>
  lines((head, random) => {
    const parts = (head[0] ?? '').split(' ');
    change(parts, random);
    head[0] = parts.join(' ');
  });

const MUTATIONS: readonly Mutation[] = [
  (text, random) => splice(text, placeIn(text, random), 1 + below(random, 4), ''),
  (text, random) => splice(text, placeIn(text, random), 0, oneOf(random, PIECES)),
  (text, random) => splice(text, placeIn(text, random), 1, oneOf(random, PIECES)),
  (text, random) => splice(text, placeIn(text, random), 1, String.fromCharCode(below(random, 256))),
  (text, random) => text.slice(0, placeIn(text, random)),
  lines((head, random) => head.splice(1 + below(random, head.length), 0, oneOf(random, FIELDS))),
  lines((head, random) => head.push(oneOf(random, head))),
  lines((head, random) => {
    if (head.length > 1) head.splice(1 + below(random, head.length - 1), 1);
  }),
  lines((head, random) => {
    if (head.length > 1) head[1 + below(random, head.length - 1)] = oneOf(random, FIELDS);
  }),
  requestLine((parts, random) => {
    parts[0] = oneOf(random, METHODS);
  }),
  requestLine((parts, random) => {
    parts[1] = (parts[1] ?? '') + oneOf(random, TARGETS);
  }),
  requestLine((parts, random) => {
    const target = parts[1] ?? '';
    parts[1] = splice(target, below(random, target.length + 1), 0, oneOf(random, TARGETS));
  }),
  requestLine((parts, random) => {
    parts[2] = oneOf(random, VERSIONS);
  }),
  rechunked,
  resized,
];

/** The body in chunks of other sizes, some with an extension, a trailer, or a size that is not true. */
function rechunked(text: string, random: Random): string {
  const end = text.indexOf('\r\n\r\n');
  if (end === -1) return text;
  const head = text
    .slice(0, end)
    .split('\r\n')
    .filter((line) => !/^(content-length|transfer-encoding)/i.test(line));
  let rest = text.slice(end + 4);
  let body = '';
  while (rest !== '') {
    const size = 1 + below(random, Math.min(rest.length, 64));
    const said = random() < 0.02 ? size + 1 : size;
    const extension = random() < 0.1 ? oneOf(random, [';a', ';a=b', ';a="b"', ';', ' ;a']) : '';
    body += `${said.toString(16)}${extension}\r\n${rest.slice(0, size)}\r\n`;
    rest = rest.slice(size);
  }
  const trailer = random() < 0.3 ? `${oneOf(random, FIELDS)}\r\n` : '';
  const method = random() < 0.7 ? (head[0] ?? '').replace(/^(GET|HEAD|DELETE)\b/, 'POST') : head[0];
  const lines = [method, ...head.slice(1), 'Transfer-Encoding: chunked'];
  return `${lines.join('\r\n')}\r\n\r\n${body}0\r\n${trailer}\r\n`;
}

/** A length that is a little off. */
function resized(text: string, random: Random): string {
  return text.replace(/content-length: *(\d+)/i, (_, length: string) => {
    const off = Number(length) + oneOf(random, [-1, 1, -2, 2, 10]);
    return `Content-Length: ${Math.max(0, off)}`;
  });
}

/** @returns what is written to one connection, a piece at a time. */
export function mutatedRequest(base: () => string, random: Random): string[] {
  let text = base();
  for (let left = below(random, 4); left > 0; left -= 1)
    text = oneOf(random, MUTATIONS)(text, random);
  if (random() < 0.15) text += base();
  if (random() < 0.05) text = oneOf(random, MUTATIONS)(text, random);
  if (random() >= 0.1) return [text];
  const at = below(random, text.length + 1);
  return [text.slice(0, at), text.slice(at)];
}
