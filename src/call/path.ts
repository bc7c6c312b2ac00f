/**
 * The request target in origin form: one normal form of the path that is sent, decoded segments for
 * policy, and the query. What servers are known to read differently (dot segments, empty segments,
 * encoded slashes, double encoding, path parameters, fragments) is refused, not repaired.
 * normal(normal(x)) = normal(x). Pure.
 */
import type { Refused } from './refused.ts';
import { refuse } from './refused.ts';
import type { Parameters } from './urlencoded.ts';
import { parseUrlEncoded } from './urlencoded.ts';

export interface Path {
  readonly ok: true;
  readonly raw: string;
  /** Escapes of unreserved characters decoded, all others in upper case. This is what is sent. */
  readonly normal: string;
  /** Decoded; the last one is empty when the path ends in a slash. */
  readonly segments: readonly string[];
}

export interface Target {
  readonly ok: true;
  readonly path: Path;
  readonly query: Parameters;
  /** Path and query as they are sent. */
  readonly normal: string;
}

/** Characters; servers commonly stop at 8 KiB. */
export const TARGET_CHARS_MAX = 8_192;
const SEGMENTS_MAX = 128;

/** pchar of RFC 3986 without `;`. */
const SEGMENT = /^(?:[A-Za-z0-9\-._~!$&'()*+,=:@]|%[0-9A-Fa-f]{2})*$/;
/** Escaped control characters, `/` and `\`, and an escape of an escape. */
const HIDDEN = /%(?:[01][0-9a-f]|7f|2f|5c|25[0-9a-f]{2})/i;
const UNRESERVED = /[A-Za-z0-9\-._~]/;

/** @returns `call.bad_path` when not ok. */
export function parseTarget(target: string): Target | Refused {
  if (target.length > TARGET_CHARS_MAX) return refuse('call.bad_path', 'target is too long');
  const mark = target.indexOf('?');
  const path = parsePath(mark === -1 ? target : target.slice(0, mark));
  if (!path.ok) return path;
  const queryText = mark === -1 ? '' : target.slice(mark + 1);
  const query = parseUrlEncoded(queryText);
  if (!query.ok) return refuse('call.bad_path', `query: ${query.detail}`);
  const normal = queryText === '' ? path.normal : `${path.normal}?${queryText}`;
  return { ok: true, path, query: query.parameters, normal };
}

/** @returns `call.bad_path` when not ok. */
export function parsePath(raw: string): Path | Refused {
  if (!raw.startsWith('/')) return refuse('call.bad_path', 'path does not start with a slash');
  const parts = raw.slice(1).split('/');
  if (parts.length > SEGMENTS_MAX) return refuse('call.bad_path', 'path has too many segments');
  const segments: string[] = [];
  const normals: string[] = [];
  for (const [index, part] of parts.entries()) {
    if (part === '' && index < parts.length - 1) {
      return refuse('call.bad_path', 'path has an empty segment');
    }
    const normal = normalSegment(part);
    if (!SEGMENT.test(part) || HIDDEN.test(normal)) {
      return refuse(
        'call.bad_path',
        'path has a character or escape that servers read differently',
      );
    }
    const segment = decoded(part);
    if (segment === null) return refuse('call.bad_path', 'path is not UTF-8 after decoding');
    if (segment === '.' || segment === '..')
      return refuse('call.bad_path', 'path has dot segments');
    segments.push(segment);
    normals.push(normal);
  }
  return { ok: true, raw, normal: `/${normals.join('/')}`, segments };
}

function decoded(part: string): string | null {
  if (!part.includes('%')) return part;
  try {
    return decodeURIComponent(part);
  } catch {
    return null;
  }
}

const normalSegment = (part: string): string =>
  part.includes('%')
    ? part.replace(/%[0-9A-Fa-f]{2}/g, (triplet) => {
        const character = String.fromCharCode(Number.parseInt(triplet.slice(1), 16));
        return UNRESERVED.test(character) ? character : triplet.toUpperCase();
      })
    : part;
