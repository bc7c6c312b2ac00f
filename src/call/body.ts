/**
 * The body of a request, read as its Content-Type says and never by guessing. What cannot be read
 * is `opaque` and policy is told so; what could be read in two ways (compression, foreign charsets,
 * broken syntax) is refused. Pure.
 */
import type { ContentType } from './content-type.ts';
import { isUtf8, parseContentType } from './content-type.ts';
import type { HeaderList } from './headers.ts';
import type { Refused } from './refused.ts';
import { refuse } from './refused.ts';
import { parseStrictJson } from './strict-json.ts';
import type { Json } from './tool-call.ts';
import type { Parameters } from './urlencoded.ts';
import { parseUrlEncoded } from './urlencoded.ts';

export type Body = { readonly ok: true; readonly mediaType: string | null } & (
  | { readonly kind: 'none' | 'opaque' | 'too_large' | 'mail' }
  | { readonly kind: 'json'; readonly value: Json }
  | { readonly kind: 'form'; readonly parameters: Parameters }
);

/**
 * Reads a body under checked headers.
 * @returns `call.bad_header`, `call.unsupported_encoding`, `call.malformed` or a reason of
 * parseStrictJson when not ok.
 */
export function readBody(
  headers: HeaderList,
  body: Uint8Array | null | 'too_large',
): Body | Refused {
  const coding = headerValue(headers, 'content-encoding')?.trim().toLowerCase() ?? 'identity';
  if (coding !== 'identity') return refuse('call.unsupported_encoding', 'the body is compressed');
  const typeText = headerValue(headers, 'content-type');
  const type = typeText === null ? null : parseContentType(typeText);
  if (type?.value.includes('/') === false || (typeText !== null && type === null)) {
    return refuse('call.bad_header', 'content-type is malformed');
  }
  if (type !== null && !isUtf8(type)) {
    return refuse('call.unsupported_encoding', 'a charset other than UTF-8');
  }
  const mediaType = type?.value ?? null;
  if (body === 'too_large') return { ok: true, kind: 'too_large', mediaType };
  if (body === null || body.length === 0) return { ok: true, kind: 'none', mediaType: null };
  return readTyped(type, body);
}

/**
 * Reads the body of an MCP POST: JSON under `application/json`, nothing else.
 * @returns as readBody; `call.unsupported_encoding` for another type, `call.too_large`,
 * `call.malformed` without body.
 */
export function readMcpBody(
  headers: HeaderList,
  body: Uint8Array | null | 'too_large',
): { readonly ok: true; readonly value: Json } | Refused {
  const read = readBody(headers, body);
  if (!read.ok) return read;
  if (read.kind === 'too_large') return refuse('call.too_large', 'the MCP message is too large');
  if (read.kind === 'none') return refuse('call.malformed', 'an MCP message without body');
  if (read.kind !== 'json' || read.mediaType !== 'application/json') {
    return refuse('call.unsupported_encoding', 'an MCP message that is not application/json');
  }
  return { ok: true, value: read.value };
}

function readTyped(type: ContentType | null, body: Uint8Array): Body | Refused {
  const mediaType = type?.value ?? null;
  if (mediaType === 'application/json' || mediaType?.endsWith('+json')) {
    const json = parseStrictJson(body);
    return json.ok ? { ok: true, kind: 'json', mediaType, value: json.value } : json;
  }
  if (mediaType === 'application/x-www-form-urlencoded') return readForm(body);
  return { ok: true, kind: mediaType === 'message/rfc822' ? 'mail' : 'opaque', mediaType };
}

function readForm(body: Uint8Array): Body | Refused {
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('latin1');
  const form = parseUrlEncoded(text);
  if (!form.ok) return refuse('call.malformed', `form: ${form.detail}`);
  const mediaType = 'application/x-www-form-urlencoded';
  return { ok: true, kind: 'form', mediaType, parameters: form.parameters };
}

/** The value of a singleton header, null when absent. */
export function headerValue(headers: HeaderList, name: string): string | null {
  for (const [given, value] of headers) {
    if (given.length === name.length && given.toLowerCase() === name) return value;
  }
  return null;
}
