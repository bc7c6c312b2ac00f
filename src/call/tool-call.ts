/**
 * A tool call as policy sees it: one normalised value whatever the wire said (HTTP, MCP, mail). The context handler
 * of XACML makes it; everything in it comes from the agent or from the catalogue, and nothing in it is trusted.
 * The field names are the policy contract `egret.dev/v1` (docs/policy-input.md). Pure.
 */

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

export type Operation = 'read' | 'write' | 'list' | 'connect' | 'unknown';
export type Risk = 'low' | 'medium' | 'high';
/** `parsed`: arguments hold all of it. `opaque`: there is a body that nobody could read. */
export type ArgumentsState = 'parsed' | 'none' | 'opaque' | 'too_large';

export interface Tool {
  /** Catalogue name such as `gmail.send`; for unknown MCP tools `<server>.<tool>`, for unknown HTTP `http.<method>`. */
  readonly name: string;
  /** Configured MCP server or HTTP tool the call goes to; null for the forward proxy. */
  readonly server: string | null;
  readonly operation: Operation;
  readonly risk: Risk;
  /** What kind of place data ends up in, e.g. `mail`; null when the catalogue does not say. */
  readonly sink: string | null;
  /** True when the catalogue names this tool. */
  readonly known: boolean;
  /** SHA-256 (hex) of the tool definition the server announced; null when unknown. */
  readonly definition_hash: string | null;
}

/** What stands in the clear of a word that the agent made up: only one that is too plain to hold data. */
const PLAIN_WORD = /^[A-Za-z][A-Za-z_/.-]{0,63}$/;
const NOT_SHOWN = '*';

/** The name as logs, traces and records may show it. */
export function shownName({
  name,
  known,
  server,
}: Pick<Tool, 'name' | 'known' | 'server'>): string {
  if (known) return name;
  const place = server !== null && name.startsWith(`${server}.`) ? server : name.split('.', 1)[0];
  const word = name.slice((place?.length ?? 0) + 1);
  return PLAIN_WORD.test(word) ? name : `${place}.${NOT_SHOWN}`;
}

/** A JSON-RPC method likewise. */
export const shownMethod = (method: string): string =>
  PLAIN_WORD.test(method) ? method : NOT_SHOWN;

/** A file inside the call. `source` and `age_minutes` are facts added before policy, never what the agent says. */
export interface Attachment {
  readonly name: string;
  readonly media_type: string;
  /** Decoded size in bytes. */
  readonly bytes: number;
  /** Lower-case hex of the decoded bytes. */
  readonly sha256: string;
}

export interface Destination {
  readonly scheme: string;
  /** Lower-case host without a trailing dot; an IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
  /** Normal form of the path, percent-encoded, without the query. */
  readonly path: string;
  /** Decoded path segments. */
  readonly segments: readonly string[];
  readonly query: Readonly<Record<string, readonly string[]>>;
}

export interface ToolCall {
  readonly tool: Tool;
  readonly arguments: JsonObject;
  readonly arguments_state: ArgumentsState;
  readonly attachments: readonly Attachment[];
  readonly destination: Destination;
  readonly http: {
    readonly method: string;
    /** Lower-case names; credentials are left out. */
    readonly headers: Readonly<Record<string, readonly string[]>>;
  };
  /** Null outside MCP. */
  readonly mcp: { readonly version: string; readonly method: string } | null;
}
