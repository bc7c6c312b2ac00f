/**
 * The closed registry of reason codes: why a call was allowed, refused or held. The same code is the refusal
 * body, the log field, the metric label, the audit field, the Rego constant and the row in docs/reason-codes.md.
 * Pure.
 */

export interface Reason {
  /** HTTP status of the refusal outside MCP, and inside when the server is configured for `http403`. */
  readonly status: number;
  /** JSON-RPC error code. Outside -32768..-32000, except where the MCP specification names one. */
  readonly rpc: number;
  /** True when the same call may succeed later without any change. */
  readonly retryable: boolean;
  /** True when a human could grant the call. */
  readonly requestable: boolean;
  /** One sentence for the agent: what happened and what to do instead. Never holds data of the call. */
  readonly text: string;
}

const reason = (
  status: number,
  rpc: number,
  text: string,
  flags: { retryable?: true; requestable?: true } = {},
): Reason => ({
  status,
  rpc,
  text,
  retryable: flags.retryable ?? false,
  requestable: flags.requestable ?? false,
});

const retryable = { retryable: true } as const;

export const REASONS = {
  'policy.allowed': reason(200, 1000, 'A policy allows this call.'),
  'policy.denied': reason(
    403,
    1001,
    'A policy denies this call. Do not repeat it; change it or ask a person.',
  ),
  'policy.no_match': reason(
    403,
    1002,
    'No policy allows this call. What is not allowed is denied; do not repeat it.',
  ),
  'policy.undefined': reason(403, 1003, 'The policy gave no decision, so the call is denied.'),
  'policy.error': reason(403, 1004, 'The policy failed while deciding, so the call is denied.'),
  'policy.fuel_exhausted': reason(
    403,
    1005,
    'The policy used up its step budget, so the call is denied. A smaller call may pass.',
  ),
  'policy.memory_exhausted': reason(
    403,
    1006,
    'The policy used up its memory, so the call is denied. A smaller call may pass.',
  ),
  'policy.invalid_result': reason(
    403,
    1007,
    'The policy gave a result of the wrong shape, so the call is denied.',
  ),
  'policy.unknown_obligation': reason(
    403,
    1008,
    'The policy demands something that cannot be carried out here, so the call is denied.',
  ),
  'policy.obligation_failed': reason(
    403,
    1009,
    'A change that the policy demands cannot be made to this call, so the call is denied.',
  ),
  'approval.required': reason(
    403,
    1020,
    'A person must approve this call. Tell the user what you want to do and why.',
    { requestable: true },
  ),
  'bundle.missing': reason(503, 1030, 'No policy is loaded, so every call is denied.', retryable),
  'bundle.stale': reason(
    503,
    1031,
    'The policy is older than its maximum staleness, so every call is denied.',
    retryable,
  ),
  'call.malformed': reason(400, 1040, 'The request is not well formed.'),
  'call.duplicate_key': reason(400, 1041, 'The JSON body has the same key twice in one object.'),
  'call.too_deep': reason(400, 1042, 'The JSON body is nested more than 64 levels deep.'),
  'call.bad_utf8': reason(400, 1043, 'The body is not valid UTF-8.'),
  'call.imprecise_number': reason(
    400,
    1044,
    'The JSON body holds a number that cannot be represented exactly. Send it as a string.',
  ),
  'call.bad_mail': reason(400, 1045, 'The mail in the request can be read in more than one way.'),
  'call.too_large': reason(413, 1046, 'The request is larger than the configured maximum.'),
  'call.unsupported_encoding': reason(
    415,
    1047,
    'The request body is compressed or in an encoding that policy cannot read.',
  ),
  'call.bad_path': reason(400, 1048, 'The request path can be read in more than one way.'),
  'call.bad_authority': reason(400, 1049, 'The host of the request is malformed or contradictory.'),
  'call.bad_header': reason(400, 1050, 'A request header is malformed, repeated or not allowed.'),
  'call.method_not_allowed': reason(405, 1051, 'The HTTP method is not allowed here.'),
  'call.unknown_route': reason(404, 1052, 'No tool or MCP server is configured under this path.'),
  'call.batch_unsupported': reason(
    400,
    1053,
    'JSON-RPC batches are not accepted. Send one request.',
  ),
  'call.timeout': reason(408, 1054, 'The request did not arrive in time.', retryable),
  'call.ambiguous_tool': reason(
    400,
    1055,
    'The request matches more than one tool of the catalogue with different arguments.',
  ),
  'call.bad_origin': reason(403, 1057, 'The request comes from a web page of another origin.'),
  'call.overloaded': reason(503, 1056, 'Too many calls are under way. Try again later.', retryable),
  'call.bad_server_name': reason(
    403,
    1100,
    'The TLS server name is missing, malformed, hidden, or not the host that was asked for.',
  ),
  'call.not_tls': reason(400, 1101, 'The connection does not begin with a TLS ClientHello.'),
  'call.tls_failed': reason(
    400,
    1102,
    'The TLS handshake with the client failed, for instance because it does not trust the certificate.',
  ),
  'call.upgrade_denied': reason(
    403,
    1103,
    'The request asks for another protocol than HTTP, which may not be spoken there.',
  ),
  'call.bad_frame': reason(
    400,
    1104,
    'A WebSocket frame breaks the protocol or a limit, so the connection was closed.',
  ),
  'call.not_grpc': reason(
    415,
    1105,
    'HTTP/2 is spoken here for gRPC only. Use HTTP/1.1 for other requests.',
  ),
  'mcp.header_mismatch': reason(
    400,
    -32020,
    'An MCP header is missing or contradicts the body of the request.',
  ),
  'mcp.unsupported_version': reason(400, -32022, 'The MCP protocol version is not supported.'),
  'identity.unauthenticated': reason(401, 1060, 'A valid credential is needed for this endpoint.'),
  'identity.forbidden': reason(403, 1061, 'This credential may not use this endpoint.'),
  'audit.unavailable': reason(
    503,
    1070,
    'The audit log cannot be written, so every call is refused.',
    retryable,
  ),
  'upstream.unresolved': reason(
    502,
    1080,
    'The host name of the tool does not resolve.',
    retryable,
  ),
  'upstream.address_denied': reason(
    403,
    1081,
    'The host is, or resolves to, an address that may not be reached from here.',
  ),
  'upstream.connect_failed': reason(502, 1082, 'The tool cannot be reached.', retryable),
  'upstream.timeout': reason(504, 1083, 'The tool did not answer in time.', retryable),
  'upstream.reset': reason(502, 1084, 'The tool broke off its answer.', retryable),
  'upstream.bad_response': reason(502, 1085, 'The tool gave an answer that is not valid HTTP.'),
  'upstream.certificate_invalid': reason(
    502,
    1086,
    'The certificate of the tool is not valid for its name, so nothing was sent.',
  ),
  'upstream.too_large': reason(
    502,
    1088,
    'The answer of the tool is larger than the configured maximum.',
  ),
  'upstream.port_denied': reason(403, 1087, 'The port may not be reached from here.'),
  'proxy.draining': reason(503, 1090, 'The sidecar is shutting down.', retryable),
  'proxy.internal': reason(500, 1091, 'The sidecar failed to handle this call; nothing was sent.'),
} as const satisfies Readonly<Record<string, Reason>>;

export type ReasonCode = keyof typeof REASONS;
