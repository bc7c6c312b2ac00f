/**
 * Calls of an audit log by what a policy could tell them apart with: tool, caller, place, arguments and files. Which of
 * them went through is what a suggested policy has to reproduce. Pure.
 */
import { canonicalText } from '../audit/canonical.ts';
import type { Json, JsonObject } from '../call/tool-call.ts';
import type { AttachmentSource, PolicyInput } from '../decision/input.ts';
import type { RecordedDecision } from './recorded.ts';

export interface ObservedFile {
  readonly source: AttachmentSource;
  readonly media_type: string;
  readonly bytes: number;
  readonly age_minutes: number | null;
}

/** One call without what differs each time (time, ids, headers). */
export interface Call {
  readonly agent: string;
  readonly server: string | null;
  readonly scheme: string;
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly method: string;
  readonly mcpMethod: string | null;
  readonly argumentsState: string;
  /** Null when the log does not hold all of them. */
  readonly arguments: JsonObject | null;
  /** Null when the log does not hold all of what policy saw of them. */
  readonly files: readonly ObservedFile[] | null;
}

export interface ObservedCall {
  readonly call: Call;
  times: number;
}

/** The calls of one tool; of one place, too, when only the place tells what the tool is. */
export interface ObservedTool {
  readonly tool: string;
  readonly known: boolean;
  readonly operation: string;
  readonly allowed: Map<string, ObservedCall>;
  readonly refused: Map<string, ObservedCall>;
}

/** Different calls kept in memory; more cannot be described by rules that a person reviews. */
const CALLS_MAX = 50_000;

/** The call went through, or would have: the policy allowed it, or the mode let it pass. */
export const wentThrough = ({ action, said }: RecordedDecision): boolean =>
  action === 'forward' || (action === 'advise' && said?.outcome === 'allow');

/** Owns what was seen while a log is read. */
export class Observation {
  readonly tools = new Map<string, ObservedTool>();
  #calls = 0;

  /** @returns false when there are too many different calls to go on. */
  add(input: PolicyInput, missing: readonly string[], through: boolean): boolean {
    const { tool, destination } = input;
    const place =
      tool.known || tool.server !== null ? '' : ` ${destination.host}:${destination.port}`;
    const key = `${tool.name}${place}`;
    let seen = this.tools.get(key);
    if (seen === undefined) {
      const { name, known, operation } = tool;
      seen = { tool: name, known, operation, allowed: new Map(), refused: new Map() };
      this.tools.set(key, seen);
    }
    const call = callOf(input, missing);
    const text = canonicalText(call as unknown as Json);
    const calls = through ? seen.allowed : seen.refused;
    const same = calls.get(text);
    if (same !== undefined) same.times += 1;
    else {
      this.#calls += 1;
      calls.set(text, { call, times: 1 });
    }
    return this.#calls <= CALLS_MAX;
  }
}

function callOf(input: PolicyInput, missing: readonly string[]): Call {
  const { agent, tool, destination, http, mcp } = input;
  const lacks = (prefix: string) => missing.some((pointer) => pointer.startsWith(prefix));
  const files = input.attachments.map(({ source, media_type, bytes, age_minutes }) => ({
    source,
    media_type,
    bytes,
    age_minutes,
  }));
  return {
    agent: agent.id,
    server: tool.server,
    scheme: destination.scheme,
    host: destination.host,
    port: destination.port,
    path: destination.path,
    method: http.method,
    mcpMethod: mcp?.method ?? null,
    argumentsState: input.arguments_state,
    arguments: lacks('/input/arguments') ? null : input.arguments,
    files: lacks('/input/attachments') ? null : files,
  };
}
