/**
 * Looks at the answer of a tool for the outcome record: did the tool itself say that it failed? Pure.
 */
import { decodedBody } from './decoded-body.ts';
import type { Forwarded } from './upstream.ts';

const decoder = new TextDecoder();
/** Of a result behind its content coding. */
const CONTENT_BYTES_MAX = 1024 * 1024;

/**
 * True when the HTTP status is 400 or more, or the answer of an MCP server is a JSON-RPC error or a result with
 * `isError`. An answer that cannot be read is not called an error.
 */
export function isToolError(forwarded: Forwarded, mcp: boolean): boolean {
  if (forwarded.status >= 400) return true;
  if (!mcp || forwarded.body === null || forwarded.body.length === 0) return false;
  const { contentEncoding = null } = forwarded;
  const content = decodedBody(forwarded.body, contentEncoding, CONTENT_BYTES_MAX);
  if (content === null) return false;
  const text = decoder.decode(content);
  // Most answers hold neither word, so most are never parsed.
  if (!text.includes('"isError"') && !text.includes('"error"')) return false;
  const messages = forwarded.contentType?.startsWith('text/event-stream')
    ? text
        .split(/\r\n|\r|\n/)
        .filter((line) => line.startsWith('data:'))
        .map((line) => line.slice('data:'.length))
    : [text];
  return messages.some(saysError);
}

function saysError(text: string): boolean {
  let message: { error?: unknown; result?: { isError?: unknown } } | null;
  try {
    message = JSON.parse(text);
  } catch {
    return false;
  }
  return message?.error !== undefined || message?.result?.isError === true;
}
