/**
 * A route: how a request that came in on some listener becomes a tool call, where it would go, and in which shape its
 * refusal is told. Routes only read; they decide nothing. Pure.
 */
import type { Catalogue } from '../call/catalogue.ts';
import type { ToolCall } from '../call/tool-call.ts';
import type { ReasonCode } from '../decision/reason.ts';
import type { Incoming } from './exchange.ts';
import type { RefusalShape } from './refusal.ts';
import type { OutgoingRequest } from './upstream.ts';

/** Where the arguments stand in a JSON body, so that an obligation can change them there. */
export type ArgumentsPlace = 'json_root' | 'mcp_params' | null;

export type Recognition =
  | {
      readonly ok: true;
      readonly call: ToolCall;
      readonly outgoing: OutgoingRequest;
      readonly place: ArgumentsPlace;
      readonly shape: RefusalShape;
      readonly jsonrpcId: string | number | null;
      /** W3C traceparent inside the message (MCP `_meta`); the HTTP one is then a link. */
      readonly traceparent: string | null;
    }
  | {
      readonly ok: false;
      readonly reason: ReasonCode;
      /** For the record and the log; made of our own words, never of the call's values. */
      readonly detail: string;
      readonly shape: RefusalShape;
      readonly jsonrpcId: string | number | null;
    };

export interface Route {
  readonly listener: 'proxy' | 'gateway' | 'capture';
  /** Looks at method, target and headers only, before the body is read. */
  precheck(incoming: Incoming): Recognition | null;
  recognize(
    incoming: Incoming,
    body: Uint8Array | null,
    catalogue: Catalogue,
  ): Recognition | Promise<Recognition>;
  /** How a refusal looks when nothing of the body is known. */
  readonly shape: RefusalShape;
}

export function unrecognized(
  reason: ReasonCode,
  detail: string,
  shape: RefusalShape,
  jsonrpcId: string | number | null = null,
): Recognition {
  return { ok: false, reason, detail, shape, jsonrpcId };
}
