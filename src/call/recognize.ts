/**
 * The context handler (XACML) for HTTP: one request becomes one ToolCall, or is refused before
 * policy. What policy sees is what is sent: body and target come back in the form they must travel
 * in. Trusts the listener for host, port and server, the catalogue for names, and nothing else.
 * Pure; asynchronous only when a raw mail has to be read.
 */
import { isObject, mergeArguments, parameterArguments } from './argument.ts';
import type { Authority } from './authority.ts';
import { parseAuthority } from './authority.ts';
import type { Body } from './body.ts';
import { headerValue, readBody } from './body.ts';
import type { ArgumentSpec, Catalogue } from './catalogue.ts';
import { HTTP_ARGUMENTS } from './catalogue.ts';
import { maskedParameters } from './credential-name.ts';
import type { HeaderList, HeaderMap } from './headers.ts';
import { checkHeaders, visibleHeaders } from './headers.ts';
import type { MailArguments } from './mail-argument.ts';
import { bodyMailArguments, fieldMailArguments, rawMailArguments } from './mail-argument.ts';
import type { Target } from './path.ts';
import { parseTarget } from './path.ts';
import type { Refused } from './refused.ts';
import { refuse } from './refused.ts';
import type { ArgumentsState, Destination, JsonObject, Tool, ToolCall } from './tool-call.ts';
import { matchHttp } from './tool-match.ts';

/** One request as the listener read it. */
export interface HttpRequestFacts {
  readonly method: string;
  readonly scheme: string;
  /** Host and port the request goes to, as parseAuthority gives them. */
  readonly host: string;
  readonly port: number;
  /** Origin form as it would be sent: path and query. */
  readonly target: string;
  readonly headers: HeaderList;
  readonly body: Uint8Array | null | 'too_large';
  /** Configured tool or MCP server of the route; null for the forward proxy. */
  readonly server: string | null;
}

export type Recognized =
  | {
      readonly ok: true;
      readonly call: ToolCall;
      /**
       * The body that policy saw, as it must be sent; null when it was too large to hold, so
       * nothing can be sent.
       */
      readonly body: Uint8Array | null;
      /** Path and query as they must be sent. */
      readonly target: string;
      /** True when the body is a JSON object and arguments were taken from it. */
      readonly json: boolean;
    }
  | Refused;

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
const BODILESS = new Set(['GET', 'HEAD', 'DELETE']);
const METHOD_PARAMETER =
  /^(_method|_?\$?_?http_?method|x[-_]http[-_]method([-_]override)?|x[-_]method[-_]override)$/i;
const EMPTY = new Uint8Array(0);

/**
 * Recognises a plain HTTP request. Unknown traffic is `http.<method>`, `known: false`, risk high.
 * @returns a promise only when the catalogue says that the request holds a raw mail. Refuses with
 * any `call.*` reason.
 */
export function recognizeHttp(
  request: HttpRequestFacts,
  catalogue: Catalogue,
): Recognized | Promise<Recognized> {
  const read = readRequest(request);
  if (!read.ok) return read;
  const { target, body } = read;
  const { method, server } = request;
  const match = matchHttp(catalogue, {
    scheme: request.scheme,
    host: request.host,
    port: request.port,
    server,
    method,
    segments: target.path.segments,
    mediaType: body.mediaType,
  });
  if (match.kind === 'ambiguous') return refuse('call.ambiguous_tool', 'two catalogue entries fit');
  const entry = match.kind === 'found' ? match.entry : null;
  const reads = method === 'GET' || method === 'HEAD';
  const tool: Tool = {
    name: entry?.name ?? `http.${method.toLowerCase()}`,
    server,
    operation: entry?.operation ?? (reads ? 'read' : 'write'),
    risk: entry?.risk ?? 'high',
    sink: entry?.sink ?? null,
    known: entry !== null,
    definition_hash: null,
  };
  const path = match.kind === 'found' ? match.path : {};
  const given = readArguments(entry?.arguments ?? HTTP_ARGUMENTS, { path, target, body }, request);
  return given instanceof Promise
    ? given.then((result) => recognized(request, read, tool, result))
    : recognized(request, read, tool, given);
}

type Read = { readonly ok: true; readonly target: Target; readonly body: Body };

/** Everything that is checked whatever the tool is. */
function readRequest(request: HttpRequestFacts): Read | Refused {
  if (!METHODS.has(request.method)) return refuse('call.method_not_allowed', 'unknown HTTP method');
  const wrong = checkHeaders(request.headers) ?? checkHost(request);
  if (wrong !== null) return wrong;
  const target = parseTarget(request.target);
  if (!target.ok) return target;
  const body = readBody(request.headers, request.body);
  if (!body.ok) return body;
  if (BODILESS.has(request.method) && body.kind !== 'none') {
    return refuse('call.malformed', `${request.method} with a body`);
  }
  const names = [
    ...Object.keys(target.query),
    ...(body.kind === 'form' ? Object.keys(body.parameters) : []),
  ];
  if (names.some((name) => METHOD_PARAMETER.test(name))) {
    return refuse('call.malformed', 'a parameter that would replace the method');
  }
  return { ok: true, target, body };
}

/** On the forward proxy, the Host header names the same place as the target. */
function checkHost(request: HttpRequestFacts): Refused | null {
  const host = headerValue(request.headers, 'host');
  if (request.server !== null || host === null) return null;
  const parsed = parseAuthority(host, request.scheme === 'https' ? 443 : 80);
  if (!parsed.ok) return parsed;
  const same = parsed.host === request.host && parsed.port === request.port;
  return same ? null : refuse('call.bad_authority', 'Host differs from the target');
}

type Arguments = (MailArguments & { readonly ok: true; readonly state: ArgumentsState }) | Refused;

interface Places {
  readonly path: Readonly<Record<string, string>>;
  readonly target: Target;
  readonly body: Body;
}

function readArguments(
  spec: ArgumentSpec,
  places: Places,
  request: HttpRequestFacts,
): Arguments | Promise<Arguments> {
  const { body } = places;
  const merged = mergeArguments(sources(spec, places));
  if (!merged.ok) return merged;
  const given = merged.arguments;
  const mail = spec.mail;
  if (mail?.body === true && body.kind === 'mail' && request.body instanceof Uint8Array) {
    return bodyMailArguments(given, request.body).then(parsedMail);
  }
  const state = stateOf(spec, body, given);
  if (mail === undefined || state === 'opaque' || state === 'too_large') {
    return { ok: true, arguments: given, attachments: [], state };
  }
  if (mail.raw !== undefined) return rawMailArguments(given, mail.raw).then(parsedMail);
  if (mail.fields !== undefined) return parsedMail(fieldMailArguments(given, mail.fields));
  return { ok: true, arguments: given, attachments: [], state: 'opaque' };
}

const parsedMail = (result: MailArguments): Arguments =>
  result.ok ? { ...result, state: 'parsed' } : result;

function sources(spec: ArgumentSpec, { path, target, body }: Places): JsonObject[] {
  const found: JsonObject[] = [];
  const from = new Set<string>(spec.from);
  if (from.has('path')) found.push(path);
  if (from.has('query')) found.push(parameterArguments(maskedParameters(target.query)));
  if (from.has('json') && body.kind === 'json') {
    found.push(isObject(body.value) ? body.value : { body: body.value });
  }
  if (from.has('form') && body.kind === 'form') {
    found.push(parameterArguments(maskedParameters(body.parameters)));
  }
  return found;
}

/** `parsed` only when the arguments hold all of the body. */
function stateOf(spec: ArgumentSpec, body: Body, given: JsonObject): ArgumentsState {
  if (body.kind === 'too_large') return 'too_large';
  if (body.kind === 'none') return Object.keys(given).length === 0 ? 'none' : 'parsed';
  const read = (body.kind === 'json' || body.kind === 'form') && spec.from.includes(body.kind);
  return read ? 'parsed' : 'opaque';
}

function recognized(
  request: HttpRequestFacts,
  read: Read,
  tool: Tool,
  given: Arguments,
): Recognized {
  if (!given.ok) return given;
  const { target, body } = read;
  const call: ToolCall = {
    tool,
    arguments: given.arguments,
    arguments_state: given.state,
    attachments: given.attachments,
    destination: destinationOf(request, target),
    http: { method: request.method, headers: visibleHeaders(request.headers) },
    mcp: null,
  };
  const json = given.state === 'parsed' && body.kind === 'json' && isObject(body.value);
  const sent = request.body === 'too_large' ? null : (request.body ?? EMPTY);
  return { ok: true, call, body: sent, target: target.normal, json };
}

/** Where a request goes, with credentials in the query masked. */
export const destinationOf = (
  request: Pick<HttpRequestFacts, 'scheme' | 'host' | 'port'>,
  target: Target,
): Destination => ({
  scheme: request.scheme,
  host: request.host,
  port: request.port,
  path: target.path.normal,
  segments: target.path.segments,
  query: maskedParameters(target.query),
});

/** A CONNECT as a tool call: a tunnel to a host and port, unknown by nature. */
export function recognizeConnect(authority: Authority, headers: HeaderMap): ToolCall {
  const { host, port } = authority;
  return {
    tool: {
      name: 'http.connect',
      server: null,
      operation: 'connect',
      risk: 'high',
      sink: null,
      known: false,
      definition_hash: null,
    },
    arguments: {},
    arguments_state: 'none',
    attachments: [],
    destination: { scheme: 'tcp', host, port, path: '', segments: [], query: {} },
    http: { method: 'CONNECT', headers },
    mcp: null,
  };
}
