/**
 * Hostile and odd requests as data: the bytes an agent sends, and either the reason they are refused with or the
 * request that the tool must see. Pure.
 */
export type Listener = 'gateway' | 'proxy' | 'capture:80';

/** What the tool sees of one request. */
export interface Seen {
  readonly method: string;
  readonly target: string;
  /** Values joined by `|`; null: the field must not be there. */
  readonly headers: Readonly<Record<string, string | null>>;
  /** Latin-1. */
  readonly body: string;
}

export interface RequestCase {
  readonly name: string;
  readonly at: Listener;
  /** Latin-1. `{origin}` stands for the tool's name, `{tool}` for its port, `{listener}` for the sidecar's port. */
  readonly bytes: string;
  /** Reasons of the requests in it that are refused. */
  readonly refused: readonly string[];
  /** Every request that passes, in order. */
  readonly seen: readonly Seen[];
  /** Of a refusal, when it is not that of the reason. */
  readonly status?: number;
  /** Refused by the HTTP parser: the answer has neither body nor reason header. */
  readonly bare?: true;
  /** There is more than one answer, or one that ends with its connection. */
  readonly untilClosed?: true;
  /** The connection is cut before the answer, so the tool need not have seen what was decided. */
  readonly cut?: true;
  /** Row of the table of parser oddities in docs/http-hardening.md. */
  readonly oddity?: number;
}

export type More = Partial<Pick<RequestCase, 'status' | 'bare' | 'untilClosed' | 'cut' | 'oddity'>>;
export const BARE = { bare: true } as const;
export const CUT = { cut: true } as const;

/** Makes the cases of one listener. */
export const casesAt = (at: Listener) => ({
  refused: (name: string, bytes: string, reason: string, more: More = {}): RequestCase => ({
    name,
    at,
    bytes,
    refused: [reason],
    seen: [],
    ...more,
  }),
  passed: (name: string, bytes: string, seen: Partial<Seen>, more: More = {}): RequestCase => ({
    name,
    at,
    bytes,
    refused: [],
    seen: [sees(seen)],
    ...more,
  }),
  mixed: (
    name: string,
    bytes: string,
    { refused = [], seen = [] }: Partial<Pick<RequestCase, 'refused' | 'seen'>>,
    more: More = {},
  ): RequestCase => ({ name, at, bytes, refused, seen, untilClosed: true, ...more }),
});

export const sees = (seen: Partial<Seen>): Seen => ({
  method: 'GET',
  target: '/a',
  headers: {},
  body: '',
  ...seen,
});

/** To the gateway, under its own name. `fields` end with CR LF each. */
export const gateway = (line: string, fields = '', body: string | Uint8Array = ''): string =>
  `${line} HTTP/1.1\r\nHost: 127.0.0.1:{listener}\r\n${fields}\r\n${latin1(body)}`;

/** A body with its type and length, to a tool of the gateway. */
export const posted = (type: string, body: string | Uint8Array, fields = ''): string =>
  gateway(
    'POST /tools/{origin}/a',
    `${type === '' ? '' : `Content-Type: ${type}\r\n`}Content-Length: ${latin1(body).length}\r\n${fields}`,
    body,
  );

/** A GET of a tool of the gateway with these fields. */
export const got = (...fields: readonly string[]): string =>
  gateway('GET /tools/{origin}/a', fields.map((field) => `${field}\r\n`).join(''));

/** As a proxy or a captured connection gets it. */
export const named = (line: string, fields = 'Host: {origin}.example\r\n', body = ''): string =>
  `${line} HTTP/1.1\r\n${fields}\r\n${body}`;

/** As a proxy gets it; `@` stands for an address and the port of the tool. */
export const proxied = (line: string, fields = 'Host: @\r\n', body = ''): string =>
  `${line} HTTP/1.1\r\n${fields}\r\n`.replaceAll('@', '127.0.0.1:{tool}') + body;

/** Chunked, with exactly these bytes after the head. */
export const chunked = (bytes: string, fields = 'Transfer-Encoding: chunked\r\n'): string =>
  gateway('POST /tools/{origin}/a', fields, bytes);

/** Text as the bytes of its UTF-8; bytes as they are. */
function latin1(body: string | Uint8Array): string {
  return Buffer.from(body).toString('latin1');
}

export const JSON_TYPE = 'application/json';
export const CALL = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'tools/call',
  params: { name: 'send_email', arguments: { to: ['accountant@example.com'], body: 'x' } },
});

/** A call of an MCP server, with its length. */
export const rpc = (body: string | Uint8Array, fields = '', path = '/mcp/{origin}'): string => {
  const length = latin1(body).length;
  const head = `Content-Type: application/json\r\nContent-Length: ${length}\r\n${fields}`;
  return gateway(`POST ${path}`, head, body);
};
