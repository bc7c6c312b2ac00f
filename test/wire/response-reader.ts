/**
 * Reads one HTTP/1.1 response the way RFC 9112 says and no other way, from all the bytes that came. Dumb on purpose: it
 * judges both what a tool sent and what the client got. Pure.
 */
export interface Head {
  readonly status: number;
  /** Lower-case names, in order. */
  readonly headers: readonly (readonly [string, string])[];
}

export type Reading =
  /** `head` and `body`: what stood before the fault. */
  | {
      readonly kind: 'invalid';
      readonly why: string;
      readonly head: Head | null;
      readonly body: string;
    }
  | { readonly kind: 'partial'; readonly head: Head | null; readonly body: string }
  | {
      readonly kind: 'whole';
      readonly head: Head;
      readonly body: string;
      /** What came after it. */
      readonly rest: string;
    };

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/;
/**
 * What Node's parser takes for a status line besides, also with two carriage returns as its end. It reads all of them by
 * the rules of HTTP/1.1, and neither version nor phrase travels on.
 */
const NEARLY_STATUS_LINE = /^(?:HTTP|RTSP|ICE)\/(0\.9|1\.0|1\.1|2\.0) ([1-9]\d\d)(?: [^\r\n]*)?$/;
const FIELD =
  /^([A-Za-z0-9!#$%&'*+.^_`|~-]+):[ \t]*((?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)[ \t]*$/;

const invalid = (why: string, head: Head | null = null, body = ''): Reading => ({
  kind: 'invalid',
  why,
  head,
  body,
});

/**
 * @param text Latin-1.
 * @param ended the sender closed its side cleanly.
 * @param nearly reads what Node's parser takes for a status line, and skips empty lines before it.
 */
export function readResponse(
  text: string,
  method: string,
  ended: boolean,
  nearly = false,
): Reading {
  let raw = text;
  let at = 0;
  for (;;) {
    if (nearly) {
      raw = parsersView(raw.slice(at));
      at = 0;
    }
    const end = raw.indexOf('\r\n\r\n', at);
    if (end === -1) return { kind: 'partial', head: null, body: '' };
    const [line = '', ...fields] = raw.slice(at, end).split('\r\n');
    const found = (nearly ? NEARLY_STATUS_LINE : STATUS_LINE).exec(line);
    if (found === null) return invalid('status line');
    const headers = fieldsOf(fields);
    if (headers === null) return invalid('field line');
    at = end + 4;
    const status = Number(found[2]);
    if (status === 101) return invalid('101');
    if (status < 200) continue;
    const unchunked = !nearly && found[1] === '0';
    return readBody({ status, headers }, raw.slice(at), { method, ended, unchunked });
  }
}

const parsersView = (raw: string) =>
  raw.replace(/^[\r\n]+/, '').replace(/^([^\r\n]*)\r\r/, '$1\r\n');

function fieldsOf(lines: readonly string[]): [string, string][] | null {
  const headers: [string, string][] = [];
  for (const line of lines) {
    const found = FIELD.exec(line);
    if (found === null) return null;
    headers.push([(found[1] as string).toLowerCase(), found[2] as string]);
  }
  return headers;
}

export const valuesOf = ({ headers }: Head, wanted: string): string[] =>
  headers.filter(([name]) => name === wanted).map(([, value]) => value);

interface Context {
  readonly method: string;
  readonly ended: boolean;
  /** The version knows no chunks. */
  readonly unchunked: boolean;
}

function readBody(head: Head, rest: string, { method, ended, unchunked }: Context): Reading {
  const codings = valuesOf(head, 'transfer-encoding');
  const lengths = valuesOf(head, 'content-length');
  if (codings.length > 0 && (lengths.length > 0 || unchunked)) return invalid('two framings');
  if (codings.length > 1 || lengths.length > 1) return invalid('repeated framing');
  if (codings.some((coding) => coding.toLowerCase() !== 'chunked')) return invalid('coding');
  if (lengths.some((length) => !/^\d{1,15}$/.test(length))) return invalid('length');
  if (method === 'HEAD' || head.status === 204 || head.status === 304) {
    return { kind: 'whole', head, body: '', rest };
  }
  if (codings.length > 0) return readChunks(head, rest);
  if (lengths.length === 0)
    return { kind: ended ? 'whole' : 'partial', head, body: rest, rest: '' };
  const length = Number(lengths[0]);
  const body = rest.slice(0, length);
  return body.length < length
    ? { kind: 'partial', head, body }
    : { kind: 'whole', head, body, rest: rest.slice(length) };
}

function readChunks(head: Head, raw: string): Reading {
  let body = '';
  let at = 0;
  for (;;) {
    const end = raw.indexOf('\n', at);
    if (end === -1) return { kind: 'partial', head, body };
    const line = /^([0-9a-f]{1,15})([ \t]*;[\t\x20-\x7e\x80-\xff]*)?\r$/i.exec(raw.slice(at, end));
    if (line === null) return invalid('chunk size', head, body);
    const size = Number.parseInt(line[1] as string, 16);
    at = end + 1;
    if (size === 0) break;
    body += raw.slice(at, at + size);
    if (raw.length < at + size + 2) return { kind: 'partial', head, body };
    if (raw.slice(at + size, at + size + 2) !== '\r\n') return invalid('chunk end', head, body);
    at += size + 2;
  }
  if (raw.slice(at, at + 2) === '\r\n') {
    return { kind: 'whole', head, body, rest: raw.slice(at + 2) };
  }
  const end = raw.indexOf('\r\n\r\n', at);
  if (end === -1) return { kind: 'partial', head, body };
  if (fieldsOf(raw.slice(at, end).split('\r\n')) === null) return invalid('trailer', head, body);
  return { kind: 'whole', head, body, rest: raw.slice(end + 4) };
}
