/**
 * What Node's strict parser lets through although two HTTP implementations could read it differently, refused before
 * anything else looks at the message. RFC 9112 framing has one reading here. Pure.
 */
import { checkHeaders } from '../call/headers.ts';
import { type Refused, refuse } from '../call/refused.ts';
import type { Incoming } from './exchange.ts';
import { checkNoUpgrade } from './websocket-handshake.ts';

const METHODS: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
]);

/** @returns a refusal, or null when method, target, version and headers have one reading. */
export function checkMessage(incoming: Incoming): Refused | null {
  const version = checkVersion(incoming);
  if (version !== null) return version;
  if (!METHODS.has(incoming.method)) {
    return refuse('call.method_not_allowed', 'the method is not one of the seven common ones');
  }
  if (incoming.target.includes('#')) return refuse('call.bad_path', 'a fragment in the target');
  const headers = checkHeaders(incoming.headers);
  if (headers !== null) return headers;
  return checkNoUpgrade(incoming.headers) ?? checkFraming(incoming);
}

/** Node's parser also accepts no version at all (HTTP/0.9) and HTTP/2.0. */
export function checkVersion({ httpVersion }: Incoming): Refused | null {
  return httpVersion === '1.1' || httpVersion === '1.0'
    ? null
    : refuse('call.malformed', 'HTTP version is not 1.0 or 1.1');
}

function checkFraming(incoming: Incoming): Refused | null {
  for (const [name, value] of incoming.headers) {
    const lower = name.toLowerCase();
    if (lower === 'expect' && value.toLowerCase() !== '100-continue') {
      return refuse('call.bad_header', 'an expectation other than 100-continue');
    }
    if (lower === 'transfer-encoding') {
      if (incoming.httpVersion === '1.0') {
        return refuse('call.bad_header', 'transfer-encoding in HTTP/1.0');
      }
      if (value.toLowerCase() !== 'chunked') {
        return refuse('call.bad_header', 'a transfer-encoding other than chunked');
      }
    }
    if (lower === 'content-length' && !/^(0|[1-9][0-9]{0,15})$/.test(value)) {
      return refuse('call.bad_header', 'a content-length that is not a plain number');
    }
  }
  return null;
}

/** The value of a header that may stand once; null when it is missing. */
export function headerOf(incoming: Incoming, name: string): string | null {
  for (const [given, value] of incoming.headers) {
    if (given.length === name.length && given.toLowerCase() === name) return value;
  }
  return null;
}
