/**
 * The one call every contender carries: a `tools/call` of the MCP tool `send_email` on server `mail`, about 330 bytes,
 * once as the receipts policy allows it and once as it must refuse it; and the fixed answer of the upstream. Pure.
 */

/** Stands in the upstream's answer only: an answer without it did not come from the upstream. */
export const UPSTREAM_MARK = 'queued-by-the-bench-upstream';

const message = (to: string) =>
  JSON.stringify({
    jsonrpc: '2.0',
    id: 7,
    method: 'tools/call',
    params: {
      name: 'send_email',
      arguments: {
        to: [to],
        subject: 'Receipts of November',
        body:
          'Dear accountant, here are the receipts of the month: train 48.20, hotel 310.00, lunch 22.50. ' +
          'The originals are in the shared folder, as always. Kind regards.',
      },
    },
  });

export const ALLOWED_BODY = message('accountant@example.com');
export const REFUSED_BODY = message('mallory@evil.example');

export const UPSTREAM_BODY = JSON.stringify({
  jsonrpc: '2.0',
  id: 7,
  result: { content: [{ type: 'text', text: UPSTREAM_MARK }], isError: false },
});

export const REQUEST_HEADERS: readonly (readonly [string, string])[] = [
  ['Content-Type', 'application/json'],
  ['Accept', 'application/json, text/event-stream'],
  ['MCP-Protocol-Version', '2025-11-25'],
];

/** The path of the gateway route; plain proxies pass the same path on. */
export const REQUEST_PATH = '/mcp/mail';

/** The bytes of one HTTP/1.1 keep-alive request. */
export function renderRequest(host: string, path: string, body: string): Buffer {
  const headers = REQUEST_HEADERS.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  const length = Buffer.byteLength(body);
  return Buffer.from(
    `POST ${path} HTTP/1.1\r\nHost: ${host}\r\n${headers}Content-Length: ${length}\r\n\r\n${body}`,
  );
}
