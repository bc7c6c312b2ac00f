/**
 * The MCP server `mail`, on the official SDK, both protocol eras: tools `send_email`, `search_emails` and
 * `export_contacts`. It obeys whoever asks; what an agent may ask is decided in front of it. Delivers to the mail API
 * named by MAIL_API_URL. Shell: owns a loopback listener.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { composeRaw, type Mail } from './mail-message.ts';

const MESSAGES = '/gmail/v1/users/me/messages';

const file = z.object({
  filename: z.string(),
  mimeType: z.string(),
  content: z.string().describe('The bytes in base64.'),
});
const mail = z.object({
  to: z.string().describe('One address, or several with commas between.'),
  cc: z.string().optional(),
  bcc: z.string().optional(),
  subject: z.string(),
  body: z.string().describe('Plain text.'),
  attachments: z.array(file).optional(),
});

function mailServer(apiUrl: string, traceparent: string | null): McpServer {
  const headers = traceparent === null ? {} : { traceparent };
  const server = new McpServer({ name: 'mail', version: '1.0.0' });
  server.registerTool(
    'send_email',
    { description: 'Sends a mail from the mailbox of the user.', inputSchema: mail },
    async (given) => said(await sendMail(apiUrl, given, headers)),
  );
  server.registerTool(
    'search_emails',
    {
      description: 'Finds mails in the inbox of the user.',
      inputSchema: z.object({ query: z.string() }),
    },
    async ({ query }) => {
      const found = await fetch(`${apiUrl}${MESSAGES}?q=${encodeURIComponent(query)}`, { headers });
      return said(await found.text());
    },
  );
  server.registerTool(
    'export_contacts',
    { description: 'Every contact of the user.', inputSchema: z.object({}) },
    () => said('ada@example.com, grace@example.com'),
  );
  return server;
}

const said = (text: string) => ({ content: [{ type: 'text' as const, text }] });

async function sendMail(
  apiUrl: string,
  given: Mail,
  headers: Readonly<Record<string, string>>,
): Promise<string> {
  const answer = await fetch(`${apiUrl}${MESSAGES}/send`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ raw: await composeRaw(given) }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`the mail API answered ${answer.status}: ${text}`);
  return text;
}

/** The SDK's handler speaks the web's Request and Response; node:http does not. */
function webRequest(request: IncomingMessage): Request {
  const headers = new Headers();
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined) headers.set(name, String(value));
  }
  const method = request.method ?? 'GET';
  const body = method === 'GET' || method === 'HEAD' ? {} : { body: request, duplex: 'half' };
  return new Request(`http://${request.headers.host ?? 'localhost'}${request.url}`, {
    method,
    headers,
    ...body,
  } as RequestInit);
}

async function reply(response: ServerResponse, answer: Response): Promise<void> {
  response.writeHead(answer.status, Object.fromEntries(answer.headers));
  for await (const chunk of answer.body ?? []) response.write(chunk);
  response.end();
}

const apiUrl = process.env['MAIL_API_URL'] ?? '';
if (!URL.canParse(apiUrl)) throw new Error('MAIL_API_URL: expected the URL of the mail API');
const handler = createMcpHandler(({ requestInfo }) =>
  mailServer(apiUrl, requestInfo?.headers.get('traceparent') ?? null),
);
const server = createServer((request, response) => {
  handler
    .fetch(webRequest(request))
    .then((answer) => reply(response, answer))
    .catch(() => response.destroy());
});
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${JSON.stringify({ port: (server.address() as AddressInfo).port })}\n`);
});
