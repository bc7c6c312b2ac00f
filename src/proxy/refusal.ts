/**
 * The rescue table: how a refusal looks on each protocol. HTTP gets problem+json (RFC 9457), MCP a tool error or a
 * JSON-RPC error, CONNECT a bare 403. Bodies are static text, codes and the decision id: nothing of the call, unless a
 * policy in Envoy's dialect states its own HTTP answer. Pure.
 */
import type { HeaderList } from '../call/headers.ts';
import type { Refusal } from '../decision/enforcement.ts';
import { REASONS, type ReasonCode } from '../decision/reason.ts';
import type { StatedRefusal } from '../decision/verdict.ts';
import { type McpEra, type McpId, mcpError, mcpToolError } from '../mcp/codec.ts';

/** What the caller speaks. */
export type RefusalShape =
  | { readonly kind: 'http' }
  | { readonly kind: 'mcp_tool'; readonly era: McpEra; readonly id: McpId }
  | { readonly kind: 'mcp'; readonly id: McpId | null };

export interface RenderedRefusal {
  readonly status: number;
  readonly headers: HeaderList;
  readonly body: Uint8Array;
}

const encoder = new TextEncoder();
/** What a 405 names (RFC 9110). At an MCP endpoint every revision takes POST. */
const HTTP_METHODS = 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS';

export function renderRefusal(refusal: Refusal, shape: RefusalShape): RenderedRefusal {
  switch (shape.kind) {
    case 'http':
      return refusal.stated === undefined ? problem(refusal) : stated(refusal, refusal.stated);
    case 'mcp_tool':
      return toolError(refusal, shape);
    case 'mcp':
      return rpcError(refusal, shape.id);
  }
}

/** Headers every refusal carries, so that a person with only `curl -i` finds the record. */
function common(refusal: Refusal, contentType: string, allowed = HTTP_METHODS): [string, string][] {
  const headers: [string, string][] = [
    ['content-type', contentType],
    ['cache-control', 'no-store'],
    ['x-egret-reason', refusal.reason],
  ];
  if (refusal.decisionId !== null) headers.push(['x-egret-decision-id', refusal.decisionId]);
  if (refusal.reason === 'call.method_not_allowed') headers.push(['allow', allowed]);
  if (REASONS[refusal.reason].retryable) headers.push(['retry-after', '1']);
  if (refusal.reason === 'identity.unauthenticated') headers.push(['www-authenticate', 'Bearer']);
  return headers;
}

/** The policy's own text as it is; without one a problem, under the status that the policy wants. */
function stated(refusal: Refusal, { status, headers, body }: StatedRefusal): RenderedRefusal {
  const isType = ([name]: readonly [string, string]) => name.toLowerCase() === 'content-type';
  const others = headers.filter((header) => !isType(header));
  if (body === '') {
    const found = problem(refusal, status);
    return { ...found, headers: [...found.headers, ...others] };
  }
  const type = headers.find(isType)?.[1] ?? 'text/plain; charset=utf-8';
  return {
    status,
    headers: [...common(refusal, type), ['x-content-type-options', 'nosniff'], ...others],
    body: encoder.encode(body),
  };
}

function problem(
  refusal: Refusal,
  status: number = REASONS[refusal.reason].status,
): RenderedRefusal {
  const body = JSON.stringify({
    type: `https://egret.dev/reasons/${refusal.reason}`,
    title: REASONS[refusal.reason].text,
    status,
    detail: refusal.message,
    ...advice(refusal),
  });
  return {
    status,
    headers: common(refusal, 'application/problem+json'),
    body: encoder.encode(`${body}\n`),
  };
}

/** A denied tool call is a tool result with `isError`: models read those and can do something else. */
function toolError(
  refusal: Refusal,
  shape: { readonly era: McpEra; readonly id: McpId },
): RenderedRefusal {
  const decision = refusal.decisionId === null ? '' : ` Decision ${refusal.decisionId}.`;
  const text = `Refused (${refusal.reason}): ${whyAndWhatNow(refusal)}${decision}`;
  const body = mcpToolError(shape.id, shape.era, text, {
    'egret.dev/refusal': advice(refusal),
  });
  return {
    status: 200,
    headers: common(refusal, 'application/json'),
    body: encoder.encode(JSON.stringify(body)),
  };
}

/** What the policy says as a sentence, then the advice of the registry: a model reads nothing else. */
function whyAndWhatNow({ message, reason }: Refusal): string {
  const advised = REASONS[reason].text;
  if (message === advised) return advised;
  return `${/[.!?]$/.test(message) ? message : `${message}.`} ${advised}`;
}

function rpcError(refusal: Refusal, id: McpId | null): RenderedRefusal {
  const { rpc, status } = REASONS[refusal.reason];
  const body = mcpError(id, rpc, refusal.message, advice(refusal));
  return {
    status,
    headers: common(refusal, 'application/json', 'POST'),
    body: encoder.encode(JSON.stringify(body)),
  };
}

function advice(refusal: Refusal): {
  reason: ReasonCode;
  decision_id: string | null;
  retryable: boolean;
  requestable: boolean;
} {
  const { retryable, requestable } = REASONS[refusal.reason];
  return { reason: refusal.reason, decision_id: refusal.decisionId, retryable, requestable };
}
