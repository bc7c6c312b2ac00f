/**
 * Every name that leaves in a span: span names, attribute keys and fixed values. The HTTP, network, server, URL and
 * error names are stable OpenTelemetry semantic conventions (1.44). The `mcp.*` and `gen_ai.*` names have the status
 * Development (GenAI conventions of 1.42, kept in a repository of their own) and may change: change them here. The
 * `egret.*` names are ours, because conventions for policy decisions are still a draft. Pure.
 */

/** Version of the stable conventions these names follow, for the instrumentation scope. */
export const SCHEMA_URL = 'https://opentelemetry.io/schemas/1.44.0';
export const SCOPE_NAME = 'egret';

/** Spans inside one call. The server span itself is named by `serverSpanName`. */
export const SPANS = {
  decide: 'policy.evaluate',
  audit: 'audit.commit',
} as const;

/**
 * The closed list of attributes. A key that is not here cannot be set, which keeps arguments, headers, bodies, queries
 * and credentials out of traces.
 */
export const ATTRIBUTES = {
  httpRequestMethod: 'http.request.method',
  httpResponseStatusCode: 'http.response.status_code',
  /** Without user info, query and fragment: see `urlFull`. */
  urlFull: 'url.full',
  urlScheme: 'url.scheme',
  serverAddress: 'server.address',
  serverPort: 'server.port',
  errorType: 'error.type',
  mcpMethodName: 'mcp.method.name',
  mcpProtocolVersion: 'mcp.protocol.version',
  genAiOperationName: 'gen_ai.operation.name',
  genAiToolName: 'gen_ai.tool.name',
  genAiAgentId: 'gen_ai.agent.id',
  listener: 'egret.listener',
  decisionId: 'egret.decision.id',
  decision: 'egret.decision',
  reason: 'egret.reason',
  wouldDeny: 'egret.would_deny',
  operation: 'egret.tool.operation',
  toolKnown: 'egret.tool.known',
  toolServer: 'egret.tool.server',
  policySet: 'egret.policy.set',
  policyRevision: 'egret.policy.revision',
  policyFuel: 'egret.policy.fuel',
} as const;

export type AttributeName = (typeof ATTRIBUTES)[keyof typeof ATTRIBUTES];
export type Attributes = { readonly [name in AttributeName]?: string | number | boolean };

/** `gen_ai.operation.name` of a tool call. */
export const EXECUTE_TOOL = 'execute_tool';
/** `error.type` of an MCP result with `isError`. */
export const TOOL_ERROR = 'tool_error';

const METHODS: ReadonlySet<string> = new Set(
  'CONNECT DELETE GET HEAD OPTIONS PATCH POST PUT QUERY TRACE'.split(' '),
);
const ATTRIBUTE_NAMES: ReadonlySet<string> = new Set(Object.values(ATTRIBUTES));

/** Fence behind the type: also text that was cast to an attribute name must be on the list. */
export const isAttributeName = (name: string): name is AttributeName => ATTRIBUTE_NAMES.has(name);

/** Method as the conventions want it: known names, everything else `_OTHER`. */
export const httpMethod = (method: string): string => (METHODS.has(method) ? method : '_OTHER');

/** `{method} {tool}` for MCP, `{method} {route}` for HTTP; only low-cardinality names, never a path. */
export function serverSpanName(method: string, target: string | null): string {
  return target === null ? method : `${method} ${target}`;
}

/**
 * A URL fit for a span: without user info, query and fragment, where secrets travel, and with `REDACTED` for path
 * segments that look like one (webhook URLs carry theirs in the path).
 * @returns null when the text is not an absolute URL.
 */
export function urlFull(text: string): string | null {
  const url = URL.parse(text);
  if (url === null) return null;
  const path = url.pathname.split('/').map((part) => (secretLike(part) ? 'REDACTED' : part));
  return `${url.protocol}//${url.host}${path.join('/')}`;
}

/** Long and with a digit, or very long: an identifier at best, a credential at worst. */
const secretLike = (part: string) =>
  part.length >= 32 || (part.length >= 16 && /[0-9]/.test(part)) || part.includes(':');
