/**
 * A mail service that speaks Gmail's REST form: takes messages, really parses them, keeps them in memory, and has an
 * inbox with private mails that would leak if an agent could list it. Knows nothing of Egret and allows everything.
 * A second port, for the demo only, tells what arrived. Shell: owns two loopback listeners.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import PostalMime, { type Address } from 'postal-mime';

export interface Delivered {
  readonly id: string;
  /** Everyone who gets it: To, Cc and Bcc. */
  readonly recipients: readonly string[];
  readonly subject: string;
  readonly attachments: readonly { readonly filename: string; readonly sha256: string }[];
  /** W3C trace context that came with the request; null when there was none. */
  readonly traceparent: string | null;
}

/** What the control port answers. */
export interface MailboxState {
  /** Every request the API got, as `METHOD path`. */
  readonly requests: readonly string[];
  readonly delivered: readonly Delivered[];
}

/** Stands in every private mail, so that a leak is easy to see. */
export const PRIVATE_MARK = 'strictly private';

const BODY_BYTES_MAX = 8 * 1024 * 1024;
const KEPT_MAX = 1000;

const INBOX = ['Results of your blood test', 'Your divorce papers', 'Offer letter, keep quiet'].map(
  (subject, index) => ({
    id: `private-${index + 1}`,
    threadId: `private-${index + 1}`,
    snippet: `${subject} (${PRIVATE_MARK})`,
  }),
);

const requests: string[] = [];
const delivered: Delivered[] = [];

async function serveMail(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const [path = ''] = (request.url ?? '').split('?', 1);
  if (requests.length < KEPT_MAX) requests.push(`${request.method} ${path}`);
  if (/^\/gmail\/v1\/users\/[^/]+\/messages$/.test(path) && request.method === 'GET') {
    return answer(response, 200, { messages: INBOX, resultSizeEstimate: INBOX.length });
  }
  if (/^\/gmail\/v1\/users\/[^/]+\/messages\/send$/.test(path) && request.method === 'POST') {
    return takeMessage(request, response);
  }
  return answer(response, 404, { error: { code: 404, message: 'Not Found' } });
}

async function takeMessage(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const message = rawMessage(await bodyOf(request));
  if (message === null || delivered.length >= KEPT_MAX) {
    return answer(response, 400, {
      error: { code: 400, message: "'raw' RFC822 payload expected" },
    });
  }
  const mail = await PostalMime.parse(message);
  const id = randomBytes(8).toString('hex');
  const header = request.headers['traceparent'];
  delivered.push({
    id,
    recipients: [mail.to, mail.cc, mail.bcc].flatMap(plainAddresses),
    subject: mail.subject ?? '',
    attachments: mail.attachments.map(({ filename, content }) => ({
      filename: filename ?? '',
      sha256: createHash('sha256')
        .update(typeof content === 'string' ? content : new Uint8Array(content))
        .digest('hex'),
    })),
    traceparent: typeof header === 'string' ? header : null,
  });
  return answer(response, 200, { id, threadId: id, labelIds: ['SENT'] });
}

/** The bytes under `raw`, or null when the body is not `{"raw": base64url}`. */
function rawMessage(body: string): Uint8Array | null {
  try {
    const { raw } = JSON.parse(body) as { raw?: unknown };
    return typeof raw === 'string' ? Buffer.from(raw, 'base64url') : null;
  } catch {
    return null; // Not JSON: answered with 400.
  }
}

function plainAddresses(list: readonly Address[] | undefined): string[] {
  return (list ?? []).flatMap((one) =>
    one.group === undefined ? [one.address ?? ''] : one.group.map((member) => member.address ?? ''),
  );
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) return '';
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function answer(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
}

async function main(): Promise<void> {
  const api = createServer((request, response) => {
    serveMail(request, response).catch(() => answer(response, 500, { error: { code: 500 } }));
  });
  const control = createServer((_request, response) => {
    answer(response, 200, { requests, delivered } satisfies MailboxState);
  });
  const ports = { api: await listen(api), control: await listen(control) };
  process.stdout.write(`${JSON.stringify(ports)}\n`);
}

if (import.meta.main) await main();
