/**
 * Header lists at the border: checks what the agent sent, gives policy the part without
 * credentials, and makes the lists that travel on. Anything two parsers could fold, split or drop
 * differently is refused (`call.bad_header`); hop-by-hop fields (RFC 9110 section 7.6.1) never
 * cross, and nobody but the sidecar speaks for the sidecar. Pure.
 */
import { isCredentialHeader } from './credential-name.ts';
import type { Refused } from './refused.ts';
import { refuse } from './refused.ts';

/** In order, as they stood on the wire. */
export type HeaderList = readonly (readonly [name: string, value: string])[];
/** Lower-case names, every value in order, no prototype. */
export type HeaderMap = Readonly<Record<string, readonly string[]>>;

export const HEADERS_MAX = 100;
/** Characters of all names and values together. */
export const HEADER_CHARS_MAX = 65_536;

/** tchar of RFC 9110 without `_`, which servers fold into `-`. */
const NAME = /^[A-Za-z0-9!#$%&'*+.^`|~-]{1,128}$/;
const VALUE = /^[\t\x20-\x7e]*$/;

/** Fields that a second copy of would make ambiguous. */
const SINGLETONS = new Set(
  (
    'authorization content-disposition content-encoding content-length content-location content-range content-type ' +
    'cookie date expect from host if-match if-modified-since if-none-match if-range if-unmodified-since ' +
    'last-event-id mcp-method mcp-name mcp-protocol-version mcp-session-id origin proxy-authorization range ' +
    'referer traceparent transfer-encoding user-agent'
  ).split(' '),
);

/** Frameworks let these replace the method after policy has looked at it. */
const METHOD_OVERRIDES = new Set(['x-http-method-override', 'x-method-override', 'x-http-method']);

/** What `Connection` may not take away: it would change the call after policy has looked at it. */
const PROTECTED =
  /^(host|authorization|cookie|accept.*|content-.*|transfer-encoding|mcp-.*|trace(parent|state))$/;

const HOP_BY_HOP = new Set(
  'connection keep-alive te trailer transfer-encoding upgrade expect http2-settings'.split(' '),
);
/** The sidecar writes these itself: framing, its own place in the chain, and the trace context. */
const OURS = /^(content-length|forwarded|x-forwarded-.*|via|traceparent|tracestate|baggage)$/;
const NEVER_FORWARDED = /^(proxy-.*|x-egret-.*)$/;

/** What the rules say about one name, as it is spelled on the wire. */
interface NameRules {
  readonly name: string;
  readonly valid: boolean;
  readonly singleton: boolean;
  readonly override: boolean;
  /** Crosses the sidecar unless Connection names it. */
  readonly crosses: boolean;
  /** Sent on as it is, not written anew. */
  readonly sent: boolean;
}

/**
 * Agents use few names: the rules are worked out once for each. Bounded, then worked out every
 * time.
 */
const rulesOfNames = new Map<string, NameRules>();
const RULES_MAX = 1_024;
const RULES_NAME_CHARS_MAX = 64;

function rulesOf(given: string): NameRules {
  const known = rulesOfNames.get(given);
  if (known !== undefined) return known;
  const name = given.toLowerCase();
  const crosses = !HOP_BY_HOP.has(name) && !NEVER_FORWARDED.test(name);
  const rules: NameRules = {
    name,
    valid: NAME.test(given),
    singleton: SINGLETONS.has(name),
    override: METHOD_OVERRIDES.has(name),
    crosses,
    sent: crosses && !OURS.test(name),
  };
  if (rulesOfNames.size < RULES_MAX && given.length <= RULES_NAME_CHARS_MAX) {
    rulesOfNames.set(given, rules);
  }
  return rules;
}

/** Lists found sound; header lists are never changed, so a second look says the same. */
const sound = new WeakSet<HeaderList>();

/**
 * Checks a request's header list.
 * @returns a refusal (`call.bad_header`), or null when the list is sound.
 */
export function checkHeaders(headers: HeaderList): Refused | null {
  if (sound.has(headers)) return null;
  const wrong = firstFault(headers);
  if (wrong === null) sound.add(headers);
  return wrong;
}

function firstFault(headers: HeaderList): Refused | null {
  if (headers.length > HEADERS_MAX) return bad(`more than ${HEADERS_MAX} headers`);
  const seen = new Set<string>();
  let characters = 0;
  for (const [given, value] of headers) {
    characters += given.length + value.length;
    const { name, valid, singleton, override } = rulesOf(given);
    if (!valid) return bad('a name that is not a token, or with an underscore');
    if (!VALUE.test(value)) return bad(`${name}: a control or non-ASCII character`);
    if (override) return bad(`${name} would replace the method`);
    if (singleton && seen.has(name)) return bad(`${name} stands twice`);
    if (singleton) seen.add(name);
    const wrong = badFraming(name, value) ?? badNomination(name, value);
    if (wrong !== null) return bad(wrong);
  }
  if (characters > HEADER_CHARS_MAX) return bad(`more than ${HEADER_CHARS_MAX} characters`);
  if (seen.has('content-length') && seen.has('transfer-encoding')) return bad('two framings');
  return null;
}

const bad = (detail: string) => refuse('call.bad_header', detail);

function badFraming(name: string, value: string): string | null {
  if (name === 'content-length' && !/^(0|[1-9][0-9]{0,14})$/.test(value)) {
    return 'content-length is not a plain decimal number';
  }
  if (name === 'transfer-encoding' && value.toLowerCase() !== 'chunked') {
    return 'transfer-encoding other than chunked';
  }
  return null;
}

function badNomination(name: string, value: string): string | null {
  if (name !== 'connection') return null;
  const nominated = listed(value).find((item) => PROTECTED.test(item) || !NAME.test(item));
  return nominated === undefined ? null : 'connection names a field that must not be dropped';
}

const listed = (value: string) =>
  value
    .toLowerCase()
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');

/** What policy may see of a checked list: what travels on, without credentials. */
export function visibleHeaders(headers: HeaderList): HeaderMap {
  const map: Record<string, string[]> = Object.create(null);
  const dropped = droppedNames(headers);
  for (const [given, value] of headers) {
    const { name, crosses } = rulesOf(given);
    if (!crosses || dropped?.has(name) || isCredentialHeader(name, value)) continue;
    const values = map[name];
    if (values === undefined) map[name] = [value];
    else values.push(value);
  }
  return map;
}

/**
 * The list that is sent to the tool, from a checked list: without hop-by-hop fields, fields that
 * Connection names, framing, Proxy-*, x-egret-*, Forwarded, Via and trace context. Host stays
 * unless dropped.
 */
export function forwardHeaders(
  headers: HeaderList,
  options: { readonly drop?: Iterable<string> } = {},
): [string, string][] {
  const dropped = droppedNames(headers) ?? new Set<string>();
  for (const name of options.drop ?? []) dropped.add(name.toLowerCase());
  const kept: [string, string][] = [];
  for (const [given, value] of headers) {
    const { name, sent } = rulesOf(given);
    if (sent && !dropped.has(name)) kept.push([given, value]);
  }
  return kept;
}

/** Names that the Connection fields of a list nominate; null when there are none. */
function droppedNames(headers: HeaderList): Set<string> | null {
  let names: Set<string> | null = null;
  for (const [given, value] of headers) {
    if (given.length !== 10 || given.toLowerCase() !== 'connection') continue;
    for (const item of listed(value)) {
      names ??= new Set();
      names.add(item);
    }
  }
  return names;
}

export type ResponseHeaders = { readonly ok: true; readonly headers: [string, string][] } | Refused;

const RESPONSE_SINGLETONS = new Set(
  (
    'access-control-allow-origin content-disposition content-length content-location content-range content-type etag ' +
    'last-modified location mcp-protocol-version mcp-session-id refresh retry-after transfer-encoding'
  ).split(' '),
);

/** What a tool may not take out of its own answer: the rest would mean something else. */
const PROTECTED_ON_THE_WAY_BACK =
  /^(content-.*|set-cookie|location|refresh|cache-control|vary|etag|last-modified|www-authenticate|access-control-.*|mcp-.*|grpc-.*)$/;

/**
 * The list that travels back to the agent: without hop-by-hop fields, Alt-Svc (which would lead
 * around the sidecar), Proxy-* and x-egret-*. Values may hold bytes over 0x7f as Latin-1.
 * @returns `upstream.bad_response` for malformed or contradictory fields.
 */
export function responseHeaders(headers: HeaderList): ResponseHeaders {
  if (headers.length > HEADERS_MAX) return refuse('upstream.bad_response', 'too many headers');
  const dropped = droppedNames(headers);
  for (const name of dropped ?? []) {
    if (PROTECTED_ON_THE_WAY_BACK.test(name)) {
      return refuse('upstream.bad_response', 'connection names a field that must not be dropped');
    }
  }
  const seen = new Set<string>();
  const kept: [string, string][] = [];
  for (const [given, value] of headers) {
    const name = given.toLowerCase();
    if (!/^[\w!#$%&'*+.^`|~-]{1,128}$/.test(given) || !/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) {
      return refuse('upstream.bad_response', 'a malformed header');
    }
    if (seen.has(name) && RESPONSE_SINGLETONS.has(name)) {
      return refuse('upstream.bad_response', `${name} stands twice`);
    }
    seen.add(name);
    const crosses = rulesOf(given).crosses && !dropped?.has(name);
    if (crosses && name !== 'alt-svc') kept.push([given, value]);
  }
  return { ok: true, headers: kept };
}
