/**
 * The MCP half of the gateway: `/mcp/<server>` over Streamable HTTP, both protocol eras. Decides on the body; GET and
 * DELETE of the legacy era are calls of operation `connect`. What goes to the server is the body that policy read, byte
 * for byte, and its answer streams back untouched. Pure.
 */
import { forwardHeaders } from '../call/headers.ts';
import { type RecognizedMcp, recognizeMcp } from '../call/recognize-mcp.ts';
import { type Refused, refuse } from '../call/refused.ts';
import { parseStrictJson } from '../call/strict-json.ts';
import {
  idOf,
  type McpId,
  type McpMessage,
  parseMcpRequest,
  parseMcpStream,
} from '../mcp/codec.ts';
import type { Incoming } from './exchange.ts';
import type { GatewayTarget } from './gateway-route.ts';
import { headerOf } from './message-rules.ts';
import type { RefusalShape } from './refusal.ts';
import { type Recognition, type Route, unrecognized } from './route.ts';
import type { Origin } from './upstream.ts';

/** The answer is looked at for the outcome record, so it must not come compressed. */
const DROP = { drop: ['host', 'accept-encoding'] };
const UNKNOWN_CALLER: RefusalShape = { kind: 'mcp', id: null };

export function mcpRoute(
  server: string,
  target: GatewayTarget,
  check: (incoming: Incoming) => Refused | null,
): Route {
  const prefix = `/mcp/${server}`;
  const path = target.path === '' ? '/' : target.path;
  return {
    listener: 'gateway',
    shape: UNKNOWN_CALLER,
    precheck(incoming) {
      const broken = check(incoming) ?? checkMethod(incoming, prefix);
      return broken === null ? null : unrecognized(broken.reason, broken.detail, UNKNOWN_CALLER);
    },
    recognize(incoming, body, catalogue) {
      const message = messageOf(incoming, body);
      if (!message.ok) {
        const { reason, detail, id = null } = message;
        return unrecognized(reason, detail, { kind: 'mcp', id }, id);
      }
      const { scheme, host, port } = target.origin;
      const { method, headers } = incoming;
      const request = { method, scheme, host, port, target: path, headers, body, server };
      const recognized = recognizeMcp(request, message, catalogue);
      const finish = (result: RecognizedMcp) =>
        recognitionOf({ incoming, body, message, origin: target.origin }, result);
      return recognized instanceof Promise ? recognized.then(finish) : finish(recognized);
    },
  };
}

interface Arrival {
  readonly incoming: Incoming;
  readonly body: Uint8Array | null;
  readonly message: McpMessage;
  readonly origin: Origin;
}

function recognitionOf(arrival: Arrival, result: RecognizedMcp): Recognition {
  const { incoming, body, message, origin } = arrival;
  const shape = shapeOf(message);
  if (!result.ok) return unrecognized(result.reason, result.detail, shape, message.id);
  return {
    ok: true,
    call: result.call,
    outgoing: {
      method: incoming.method,
      origin,
      path: result.target,
      headers: forwardHeaders(incoming.headers, DROP),
      body,
    },
    place: message.toolName === null ? null : 'mcp_params',
    shape,
    jsonrpcId: message.id,
    traceparent: traceparentOf(message),
  };
}

function checkMethod(incoming: Incoming, prefix: string): Refused | null {
  if (!['POST', 'GET', 'DELETE'].includes(incoming.method)) {
    return refuse('call.method_not_allowed', 'MCP knows POST, GET and DELETE');
  }
  if (incoming.target !== prefix && incoming.target !== `${prefix}/`) {
    return refuse('call.unknown_route', 'an MCP endpoint has no sub-paths and no query');
  }
  if (incoming.method !== 'POST') return null;
  const type = headerOf(incoming, 'content-type') ?? '';
  const [essence = '', ...parameters] = type.toLowerCase().split(';');
  const utf8 = parameters.every((parameter) => /^\s*charset="?utf-8"?\s*$/.test(parameter));
  if (essence.trim() !== 'application/json' || !utf8) {
    return refuse('call.unsupported_encoding', 'the content type is not application/json in UTF-8');
  }
  const encoding = headerOf(incoming, 'content-encoding')?.toLowerCase() ?? 'identity';
  return encoding === 'identity'
    ? null
    : refuse('call.unsupported_encoding', 'the body is compressed');
}

function messageOf(
  incoming: Incoming,
  body: Uint8Array | null,
): McpMessage | (Refused & { readonly id?: McpId | null }) {
  const { headers } = incoming;
  if (incoming.method === 'GET' || incoming.method === 'DELETE') {
    if (body !== null) return refuse('call.malformed', 'a body in a request that has none');
    return parseMcpStream({ method: incoming.method, headers });
  }
  const document = parseStrictJson(body ?? new Uint8Array());
  if (!document.ok) return document;
  const message = parseMcpRequest({ headers, body: document.value });
  return message.ok ? message : { ...message, id: idOf(document.value) };
}

/** Only a tool call has a result that a model reads; everything else gets a JSON-RPC error. */
function shapeOf(message: McpMessage): RefusalShape {
  return message.toolName !== null && message.id !== null
    ? { kind: 'mcp_tool', era: message.era, id: message.id }
    : { kind: 'mcp', id: message.id };
}

function traceparentOf(message: McpMessage): string | null {
  const meta = message.params['_meta'] as { traceparent?: unknown } | undefined;
  return typeof meta?.traceparent === 'string' ? meta.traceparent : null;
}
