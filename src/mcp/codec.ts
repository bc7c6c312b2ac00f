/**
 * MCP over HTTP, both eras: legacy (up to 2025-11-25, negotiated by initialize) and modern
 * (2026-07-28, stateless). Classifies one JSON-RPC message and compares the headers that repeat it;
 * the body decides, headers are only verified. All of it is the agent's and untrusted. Also renders
 * the answers the sidecar gives itself. Pure.
 */
import { isObject } from '../call/argument.ts';
import { strictBase64 } from '../call/base64.ts';
import type { HeaderList } from '../call/headers.ts';
import type { Refused } from '../call/refused.ts';
import { refuse } from '../call/refused.ts';
import type { Json, JsonObject } from '../call/tool-call.ts';

export const MODERN_VERSION = '2026-07-28';
export const SUPPORTED_VERSIONS = ['2025-03-26', '2025-06-18', '2025-11-25', MODERN_VERSION];
/** What a request without the version header speaks, by the specification. */
const ASSUMED_VERSION = '2025-03-26';
const META_VERSION = 'io.modelcontextprotocol/protocolVersion';

export type McpEra = 'legacy' | 'modern';
export type McpId = string | number;

export interface McpMessage {
  readonly ok: true;
  readonly era: McpEra;
  readonly version: string;
  readonly kind: 'request' | 'notification' | 'response' | 'stream';
  /** `response` for a response, `stream/open` and `session/delete` for GET and DELETE. */
  readonly method: string;
  /** Null for notifications and streams. */
  readonly id: McpId | null;
  /** Without a request, the result or error of a response. */
  readonly params: JsonObject;
  /** Set for tools/call only, with its arguments. */
  readonly toolName: string | null;
  readonly args: JsonObject;
}

const METHOD = /^[A-Za-z0-9_$.\-/]{1,128}$/;
const TOOL_NAME = /^[A-Za-z0-9_.\-/]{1,128}$/;
const ID_CHARS_MAX = 1_024;
const TOOL_PARAMS = new Set([
  'name',
  'arguments',
  '_meta',
  'task',
  'inputResponses',
  'requestState',
]);

/**
 * Decodes the body of a POST.
 * @returns `call.batch_unsupported`, `call.malformed`, `mcp.header_mismatch` or
 * `mcp.unsupported_version` when not ok.
 */
export function parseMcpRequest(request: {
  readonly headers: HeaderList;
  readonly body: Json;
}): McpMessage | Refused {
  const { headers, body } = request;
  if (Array.isArray(body)) return refuse('call.batch_unsupported', 'a JSON-RPC batch');
  const message = isObject(body) ? parseRpc(body) : null;
  if (message === null) return refuse('call.malformed', 'not one JSON-RPC 2.0 message');
  const version = versionOf(headers, message);
  if (typeof version !== 'string') return version;
  const era: McpEra = version === MODERN_VERSION ? 'modern' : 'legacy';
  if (era === 'modern' && message.kind === 'response') {
    return refuse('call.malformed', `a response from the client in ${MODERN_VERSION}`);
  }
  const mismatch = mirrored(headers, message, era);
  if (mismatch !== null) return refuse('mcp.header_mismatch', mismatch);
  if (message.method !== 'tools/call') {
    return { ok: true, era, version, ...message, toolName: null, args: {} };
  }
  const call = toolCall(message);
  return call.ok ? { ...call, ok: true, era, version, ...message } : call;
}

/**
 * Decodes a GET (opens a server stream) or DELETE (ends a session) of the legacy era.
 * @returns `call.method_not_allowed` in the modern era, `mcp.unsupported_version`,
 * `mcp.header_mismatch`.
 */
export function parseMcpStream(request: {
  readonly method: 'GET' | 'DELETE';
  readonly headers: HeaderList;
}): McpMessage | Refused {
  const header = single(request.headers, 'mcp-protocol-version');
  if (header === false) return refuse('mcp.header_mismatch', 'mcp-protocol-version stands twice');
  const version = header ?? ASSUMED_VERSION;
  if (!SUPPORTED_VERSIONS.includes(version)) return unsupported();
  if (version === MODERN_VERSION) return refuse('call.method_not_allowed', 'only POST is defined');
  const method = request.method === 'GET' ? 'stream/open' : 'session/delete';
  const none = { id: null, params: {}, toolName: null, args: {} };
  return { ok: true, era: 'legacy', version, kind: 'stream', method, ...none };
}

type Rpc = Pick<McpMessage, 'kind' | 'method' | 'id' | 'params'>;

/** One JSON-RPC 2.0 message with exactly the members of its kind, or null. */
function parseRpc(body: JsonObject): Rpc | null {
  if (body['jsonrpc'] !== '2.0') return null;
  const keys = Object.keys(body).filter((key) => key !== 'jsonrpc');
  const has = (key: string) => Object.hasOwn(body, key);
  const id = has('id') ? parseId(body['id']) : null;
  if (id === undefined) return null;
  if (has('method')) {
    const method = body['method'];
    const params = has('params') ? body['params'] : {};
    const fits = keys.every((key) => key === 'id' || key === 'method' || key === 'params');
    if (!fits || typeof method !== 'string' || !METHOD.test(method) || !isObject(params))
      return null;
    const kind = id === null ? 'notification' : 'request';
    return method.startsWith('notifications/') === (kind === 'notification')
      ? { kind, method, id, params }
      : null;
  }
  const outcome = has('result') ? 'result' : 'error';
  const params = body[outcome];
  const fits = keys.every((key) => key === 'id' || key === outcome);
  if (!fits || id === null || !isObject(params)) return null;
  return { kind: 'response', method: 'response', id, params };
}

/** The id of what may be a JSON-RPC request, so that also the refusal of a bad one finds its asker. */
export function idOf(body: Json): McpId | null {
  return isObject(body) ? (parseId(body['id']) ?? null) : null;
}

/** Undefined when it is no id: null, fractions and long strings are refused. */
function parseId(id: Json | undefined): McpId | undefined {
  if (typeof id === 'number') return Number.isSafeInteger(id) ? id : undefined;
  return typeof id === 'string' && id.length <= ID_CHARS_MAX ? id : undefined;
}

const unsupported = (): Refused =>
  refuse('mcp.unsupported_version', `supported are ${SUPPORTED_VERSIONS.join(', ')}`);

/** The one version that header, `_meta` and initialize agree on. */
function versionOf(headers: HeaderList, message: Rpc): string | Refused {
  const header = single(headers, 'mcp-protocol-version');
  if (header === false) return refuse('mcp.header_mismatch', 'mcp-protocol-version stands twice');
  const meta = message.kind === 'response' ? undefined : metaVersion(message.params);
  if (meta === null) return refuse('call.malformed', '_meta is malformed');
  if (header !== null && !SUPPORTED_VERSIONS.includes(header)) return unsupported();
  if (meta !== undefined && meta !== (header ?? ASSUMED_VERSION)) {
    return SUPPORTED_VERSIONS.includes(meta)
      ? refuse('mcp.header_mismatch', 'mcp-protocol-version contradicts the body')
      : unsupported();
  }
  if (header === MODERN_VERSION) {
    if (meta === undefined && message.kind === 'request') {
      return refuse('mcp.header_mismatch', `the body does not name version ${MODERN_VERSION}`);
    }
    return header;
  }
  if (message.method !== 'initialize') return header ?? ASSUMED_VERSION;
  const asked = message.params['protocolVersion'];
  const legacy = typeof asked === 'string' && asked !== MODERN_VERSION;
  return legacy && SUPPORTED_VERSIONS.includes(asked) ? asked : unsupported();
}

/** Undefined when absent, null when `_meta` is no object or the version no string. */
function metaVersion(params: JsonObject): string | null | undefined {
  const meta = Object.hasOwn(params, '_meta') ? params['_meta'] : {};
  if (!isObject(meta)) return null;
  const version = Object.hasOwn(meta, META_VERSION) ? meta[META_VERSION] : undefined;
  return version === undefined || typeof version === 'string' ? version : null;
}

/** Which member Mcp-Name repeats. It is required where the core specification says so. */
const NAMED: ReadonlyMap<string, { readonly member: string; readonly required: boolean }> = new Map(
  [
    ['tools/call', { member: 'name', required: true }],
    ['prompts/get', { member: 'name', required: true }],
    ['resources/read', { member: 'uri', required: true }],
    ['tasks/get', { member: 'taskId', required: false }],
    ['tasks/update', { member: 'taskId', required: false }],
    ['tasks/cancel', { member: 'taskId', required: false }],
  ],
);

/**
 * Headers that repeat the body: required on modern requests, and never contradicting it anywhere.
 */
function mirrored(headers: HeaderList, message: Rpc, era: McpEra): string | null {
  const method = single(headers, 'mcp-method');
  const name = single(headers, 'mcp-name');
  if (method === false || name === false) return 'an MCP header stands twice';
  const required = era === 'modern' && message.kind === 'request';
  if (method === null ? required : method !== message.method) return 'mcp-method';
  const named = NAMED.get(message.method);
  if (named === undefined) return null;
  if (name === null) return required && named.required ? 'mcp-name is missing' : null;
  return decodedHeader(name) === message.params[named.member] ? null : 'mcp-name';
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Plain, or `=?base64?…?=` for text that is not plain ASCII; null when malformed. */
function decodedHeader(value: string): string | null {
  if (!value.startsWith('=?base64?') || !value.endsWith('?=')) return value;
  const bytes = strictBase64(value.slice(9, -2));
  if (bytes === null) return null;
  try {
    return utf8.decode(bytes);
  } catch {
    return null;
  }
}

/** The value of a header, null when absent, false when it stands twice. */
function single(headers: HeaderList, name: string): string | null | false {
  let found: string | null = null;
  for (const [given, value] of headers) {
    if (given.length !== name.length || given.toLowerCase() !== name) continue;
    if (found !== null) return false;
    found = value;
  }
  return found;
}

function toolCall(message: Rpc): { ok: true; toolName: string; args: JsonObject } | Refused {
  const { params } = message;
  const name = params['name'];
  const args = Object.hasOwn(params, 'arguments') ? params['arguments'] : {};
  if (message.kind !== 'request') return refuse('call.malformed', 'tools/call without id');
  if (typeof name !== 'string' || !TOOL_NAME.test(name)) {
    return refuse('call.malformed', 'a tool name other than 1 to 128 of A-Z a-z 0-9 _ . - /');
  }
  if (!isObject(args)) return refuse('call.malformed', 'tool arguments are not an object');
  if (!Object.keys(params).every((key) => TOOL_PARAMS.has(key))) {
    return refuse('call.malformed', 'tools/call with an unknown member');
  }
  return { ok: true, toolName: name, args };
}

/**
 * A tool result that says what went wrong, so that the model reads it and can do something else.
 * `meta` is for programs: structured content would have to fit the output schema of the tool.
 */
export const mcpToolError = (
  id: McpId,
  era: McpEra,
  text: string,
  meta: JsonObject,
): JsonObject => ({
  jsonrpc: '2.0',
  id,
  result: {
    ...(era === 'modern' ? { resultType: 'complete' } : {}),
    content: [{ type: 'text', text }],
    isError: true,
    _meta: meta,
  },
});

/** A JSON-RPC error; `id` is null when the request had none that could be read. */
export const mcpError = (
  id: McpId | null,
  code: number,
  message: string,
  data?: JsonObject,
): JsonObject => ({
  jsonrpc: '2.0',
  id,
  error: { code, message, ...(data === undefined ? {} : { data }) },
});
