/**
 * What the head of a tool's answer may say before a byte of it is handed on. One framing, one meaning: whatever two
 * clients could read differently is refused (`upstream.bad_response`), whatever would lead around the sidecar or speak
 * for it is dropped (src/call/headers.ts). RFC 9110 and RFC 9112, stricter where they leave a choice. Pure.
 */
import { type HeaderList, responseHeaders } from '../call/headers.ts';
import { type Refused, refuse } from '../call/refused.ts';

export interface ResponseHead {
  /** Of the request that is answered. */
  readonly method: string;
  readonly status: number;
  /** As received. */
  readonly headers: HeaderList;
}

export interface SoundResponse {
  readonly ok: true;
  /** What travels on. */
  readonly headers: readonly (readonly [string, string])[];
  readonly contentType: string | null;
  /** The one coding of the body, lower case; null when there is none. */
  readonly contentEncoding: string | null;
  /** Bytes announced; null when the end of the body shows itself. */
  readonly announcedBytes: number | null;
  /** An event stream may last as long as both sides wish. */
  readonly endless: boolean;
  /** No content may follow, whatever the head announces. */
  readonly empty: boolean;
}

/** Interim answers (1xx) to one call; each starts the wait for the real answer anew. */
export const INTERIM_MAX = 16;

const PROXY_AUTHENTICATION_REQUIRED = 407;
const RESET_CONTENT = 205;
/** These have no content, so a Content-Length would only mislead a client that believes it. */
const EMPTY_STATUSES: ReadonlySet<number> = new Set([204, RESET_CONTENT, 304]);

const FRAMING: ReadonlySet<string> = new Set(
  'connection content-length transfer-encoding upgrade'.split(' '),
);

/** @returns `upstream.bad_response` where the answer could be taken for another one. */
export function checkResponse({ method, status, headers }: ResponseHead): SoundResponse | Refused {
  const wrong = wrongStatus(status) ?? wrongFraming(headers, status) ?? wrongContent(headers);
  if (wrong !== null) return refuse('upstream.bad_response', wrong);
  const checked = responseHeaders(headers);
  if (!checked.ok) return checked;
  const emptyStatus = EMPTY_STATUSES.has(status);
  const empty = emptyStatus || method === 'HEAD';
  const contentType = valuesOf(headers, 'content-type')[0] ?? null;
  const [length] = valuesOf(headers, 'content-length');
  const kept = emptyStatus
    ? checked.headers.filter(([name]) => name.toLowerCase() !== 'content-length')
    : checked.headers;
  return {
    ok: true,
    headers: status === RESET_CONTENT ? [...kept, ['content-length', '0']] : kept,
    contentType,
    contentEncoding: codingsOf(headers)[0] ?? null,
    announcedBytes: length === undefined || empty ? null : Number(length),
    endless: !empty && /^text\/event-stream *(;|$)/i.test(contentType ?? ''),
    empty,
  };
}

/** @param seen interim answers to this call so far, this one included. */
export function wrongInterim(status: number, seen: number): string | null {
  if (status === 101) return 'another protocol although nobody asked for one';
  return seen > INTERIM_MAX ? 'interim answers without end' : null;
}

/**
 * Trailers are dropped, but these would speak of framing after it is over (RFC 9110 section 6.5.1), and Node's parser
 * believes them: it takes the next answer on the connection for no answer.
 * @param names lower case.
 */
export function wrongTrailer(names: readonly string[]): string | null {
  const found = names.find((name) => FRAMING.has(name));
  return found === undefined ? null : `${found} as a trailer`;
}

function wrongStatus(status: number): string | null {
  if (!Number.isInteger(status) || status < 200 || status > 599) return 'no status of HTTP';
  // Whoever gets it would hand credentials for its proxy to us, or take our place for the tool's.
  return status === PROXY_AUTHENTICATION_REQUIRED ? 'a tool speaks as a proxy' : null;
}

function wrongFraming(headers: HeaderList, status: number): string | null {
  const codings = valuesOf(headers, 'transfer-encoding');
  const lengths = valuesOf(headers, 'content-length');
  if (codings.length > 1 || codings.some((coding) => coding.toLowerCase() !== 'chunked')) {
    return 'transfer-encoding other than chunked';
  }
  if (lengths.length > 1) return 'content-length stands twice';
  if (codings.length > 0 && lengths.length > 0) return 'two framings';
  const [length] = lengths;
  if (length !== undefined && !/^(0|[1-9][0-9]{0,14})$/.test(length)) {
    return 'content-length is not a plain decimal number';
  }
  return status === RESET_CONTENT && Number(length ?? 0) > 0 ? 'content with status 205' : null;
}

function wrongContent(headers: HeaderList): string | null {
  const [type = ''] = valuesOf(headers, 'content-type');
  // Clients differ on which of two types counts.
  if (type.replaceAll(/"(\\.|[^"\\])*"/g, '').includes(',')) return 'two content types in one';
  return codingsOf(headers).length > 1 ? 'content coded more than once' : null;
}

const codingsOf = (headers: HeaderList): string[] =>
  valuesOf(headers, 'content-encoding')
    .flatMap((value) => value.toLowerCase().split(','))
    .map((coding) => coding.trim())
    .filter((coding) => coding !== '' && coding !== 'identity');

const valuesOf = (headers: HeaderList, wanted: string): string[] =>
  headers
    .filter(([name]) => name.length === wanted.length && name.toLowerCase() === wanted)
    .map(([, value]) => value);
