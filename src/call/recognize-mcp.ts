/**
 * The context handler (XACML) for MCP: one decoded message becomes one ToolCall. `tools/call` is
 * named by the catalogue (server and tool), every other method by itself (`mcp.tools.list`).
 * Decides on the body only: headers that repeat it were compared before. Trusts the catalogue for
 * names and nothing in the message. Pure.
 */
import { isObject, mergeArguments } from './argument.ts';
import type { Catalogue } from './catalogue.ts';
import { checkHeaders, visibleHeaders } from './headers.ts';
import type { MailArguments } from './mail-argument.ts';
import { fieldMailArguments, rawMailArguments } from './mail-argument.ts';
import { parseTarget } from './path.ts';
import type { HttpRequestFacts } from './recognize.ts';
import { destinationOf } from './recognize.ts';
import type { Refused } from './refused.ts';
import { refuse } from './refused.ts';
import type { JsonObject, Operation, Tool, ToolCall } from './tool-call.ts';
import type { Match } from './tool-match.ts';
import { matchMcp } from './tool-match.ts';

/** A message as src/mcp/codec.ts decodes it. */
export interface McpCallFacts {
  readonly version: string;
  readonly method: string;
  readonly params: JsonObject;
  /** Name and arguments of a tools/call; the name is null for other methods. */
  readonly toolName: string | null;
  readonly args: JsonObject;
}

export type RecognizedMcp =
  | { readonly ok: true; readonly call: ToolCall; readonly target: string }
  | Refused;

/** What the methods of the MCP specification do, all revisions and extensions. */
const OPERATIONS: ReadonlyMap<string, Operation> = new Map([
  ...operations('list', 'tools/list resources/list resources/templates/list prompts/list'),
  ...operations('list', 'tasks/list server/discover'),
  ...operations('read', 'resources/read prompts/get completion/complete tasks/get tasks/result'),
  ...operations('connect', 'initialize ping logging/setLevel subscriptions/listen response'),
  ...operations('connect', 'resources/subscribe resources/unsubscribe tasks/update tasks/cancel'),
  ...operations('connect', 'stream/open session/delete notifications/initialized'),
  ...operations('connect', 'notifications/cancelled notifications/progress'),
  ...operations('connect', 'notifications/roots/list_changed notifications/tasks/status'),
]);

function operations(operation: Operation, methods: string): [string, Operation][] {
  return methods.split(' ').map((method) => [method, operation]);
}

/**
 * Recognises a decoded MCP message that came with a request to a configured server.
 * @returns a promise only when the catalogue says that an argument is a raw mail. Refuses with any
 * `call.*` reason.
 */
export function recognizeMcp(
  request: HttpRequestFacts & { readonly server: string },
  message: McpCallFacts,
  catalogue: Catalogue,
): RecognizedMcp | Promise<RecognizedMcp> {
  const wrong = checkHeaders(request.headers);
  if (wrong !== null) return wrong;
  const target = parseTarget(request.target);
  if (!target.ok) return target;
  const match: Match =
    message.toolName === null
      ? { kind: 'unknown' }
      : matchMcp(catalogue, request.server, message.toolName);
  if (match.kind === 'ambiguous') return refuse('call.ambiguous_tool', 'two catalogue entries fit');
  const tool = toolOf(request.server, message, match);
  const finish = (given: MailArguments): RecognizedMcp => {
    if (!given.ok) return given;
    const call: ToolCall = {
      tool,
      arguments: given.arguments,
      arguments_state: Object.keys(given.arguments).length === 0 ? 'none' : 'parsed',
      attachments: given.attachments,
      destination: destinationOf(request, target),
      http: { method: request.method, headers: visibleHeaders(request.headers) },
      mcp: { version: message.version, method: message.method },
    };
    return { ok: true, call, target: target.normal };
  };
  const given = readArguments(message, match);
  return given instanceof Promise ? given.then(finish) : finish(given);
}

function toolOf(server: string, message: McpCallFacts, match: Match): Tool {
  const { method, toolName } = message;
  const common = { server, definition_hash: null };
  if (match.kind === 'found') {
    const { name, operation, risk, sink } = match.entry;
    return { ...common, name, operation, risk, sink: sink ?? null, known: true };
  }
  if (toolName !== null) {
    const name = `${server}.${toolName}`;
    return { ...common, name, operation: 'unknown', risk: 'high', sink: null, known: false };
  }
  const operation = OPERATIONS.get(method) ?? 'connect';
  const known = OPERATIONS.has(method);
  const name = `mcp.${method.replaceAll('/', '.')}`;
  return { ...common, name, operation, risk: known ? 'low' : 'high', sink: null, known };
}

function readArguments(
  message: McpCallFacts,
  match: Match,
): MailArguments | Promise<MailArguments> {
  if (message.toolName === null) {
    const { _meta, ...params } = message.params;
    return { ok: true, arguments: params, attachments: [] };
  }
  const mail = match.kind === 'found' ? match.entry.arguments?.mail : undefined;
  if (mail?.raw !== undefined) {
    return rawMailArguments(message.args, mail.raw).then((given) => withResponses(message, given));
  }
  const given: MailArguments =
    mail?.fields === undefined
      ? { ok: true, arguments: message.args, attachments: [] }
      : fieldMailArguments(message.args, mail.fields);
  return withResponses(message, given);
}

/**
 * Answers to what the server asked on the first try travel beside the arguments; policy sees them
 * too.
 */
function withResponses(message: McpCallFacts, given: MailArguments): MailArguments {
  const responses = message.params['inputResponses'];
  if (!given.ok || !isObject(responses)) return given;
  const merged = mergeArguments([given.arguments, { input_responses: responses }]);
  return merged.ok ? { ...given, arguments: merged.arguments } : merged;
}
