/**
 * The agent's ways to its tools, as any agent has them: the official MCP client for a configured server, and plain HTTP
 * that follows HTTP_PROXY. Nothing here knows Egret; answers are reported with the headers that came along.
 * Shell: owns two MCP sessions.
 */
import { randomBytes } from 'node:crypto';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import {
  Client,
  type FetchLike,
  StreamableHTTPClientTransport,
} from '@modelcontextprotocol/client';

/** What came back from a tool, or from whoever stands in front of it. */
export interface Answer {
  /** HTTP status. */
  readonly status: number;
  /** True when the tool says that it failed, in its own protocol. */
  readonly isError: boolean;
  readonly text: string;
  /** Response headers, lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface Tools {
  /** W3C trace id of the step under way, 32 hex digits. */
  readonly traceId: () => string;
  /** Starts a step with a trace of its own. */
  readonly nextStep: () => void;
  /** Calls a tool of the MCP server `mail`. */
  readonly mcp: (tool: string, args: object, revision?: '2025-11-25') => Promise<Answer>;
  /** `fetch`, which tunnels also plain HTTP through the proxy. */
  readonly fetch: (method: string, url: string, json?: string) => Promise<Answer>;
  /** `node:http`, which sends the whole URL to the proxy. */
  readonly http: (method: string, url: string, json: string) => Promise<Answer>;
  /** Asks the proxy for a tunnel to `host:port`. */
  readonly connect: (authority: string) => Promise<Answer>;
  readonly close: () => Promise<void>;
}

const ANSWER_MS_MAX = 10_000;

/** @param mcpUrl of the server; HTTP goes where HTTP_PROXY says. */
export function openTools(mcpUrl: URL, proxyUrl: URL): Tools {
  let traceId = '';
  let seen: { status: number; headers: Answer['headers'] } = { status: 0, headers: {} };
  const traced = () => ({ traceparent: `00-${traceId}-${randomBytes(8).toString('hex')}-01` });
  const json = { 'content-type': 'application/json' };

  /** Remembers the headers of the last answer, which the MCP client keeps to itself. */
  const watchingFetch = async (url: string | URL, init?: RequestInit): Promise<Response> => {
    const headers = new Headers(init?.headers);
    headers.set('traceparent', traced().traceparent);
    const response = await fetch(url, { ...init, headers });
    seen = { status: response.status, headers: Object.fromEntries(response.headers) };
    return response;
  };
  const modern = mcpSession(mcpUrl, 'auto', watchingFetch);
  const legacy = mcpSession(mcpUrl, 'legacy', watchingFetch);

  return {
    traceId: () => traceId,
    nextStep: () => {
      traceId = randomBytes(16).toString('hex');
    },
    async mcp(tool, args, revision) {
      const client = await (revision === undefined ? modern : legacy).open();
      const result = await client.callTool({ name: tool, arguments: { ...args } });
      const text = result.content.map((part) => (part.type === 'text' ? part.text : '')).join('\n');
      return { ...seen, isError: result.isError === true, text };
    },
    async fetch(method, url, body) {
      const init = { method, headers: { ...json, ...traced() }, ...(body && { body }) };
      const response = await fetch(url, { ...init, signal: AbortSignal.timeout(ANSWER_MS_MAX) });
      const { status } = response;
      const headers = Object.fromEntries(response.headers);
      return { status, isError: status >= 400, text: await response.text(), headers };
    },
    http(method, url, body) {
      const length = Buffer.byteLength(body);
      const headers = { ...json, ...traced(), 'content-length': length };
      return exchange(request(url, { method, headers }).end(body), 'response');
    },
    connect(authority) {
      const { hostname, port } = proxyUrl;
      const to = { method: 'CONNECT', path: authority, headers: { host: authority, ...traced() } };
      return exchange(request({ hostname, port, agent: false, ...to }).end(), 'connect');
    },
    async close() {
      await Promise.all([modern.close(), legacy.close()]);
    },
  };
}

/** A session that is opened when it is first needed. `auto` finds 2026-07-28, `legacy` means 2025-11-25. */
function mcpSession(url: URL, mode: 'auto' | 'legacy', viaFetch: FetchLike) {
  let opened: Promise<Client> | null = null;
  const open = async (): Promise<Client> => {
    const client = new Client(
      { name: 'receipts-agent', version: '1.0.0' },
      { versionNegotiation: { mode } },
    );
    await client.connect(new StreamableHTTPClientTransport(url, { fetch: viaFetch }));
    await client.listTools();
    return client;
  };
  return {
    open: () => {
      opened ??= open();
      return opened;
    },
    close: async () => (await opened)?.close(),
  };
}

function exchange(sent: ClientRequest, event: 'response' | 'connect'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    sent.setTimeout(ANSWER_MS_MAX, () => sent.destroy(new Error('no answer in time')));
    sent.once('error', reject);
    sent.once(event, (response: IncomingMessage) => {
      const status = response.statusCode ?? 0;
      const headers = plainHeaders(response);
      if (event === 'connect') {
        sent.destroy();
        resolve({ status, isError: status >= 300, text: response.statusMessage ?? '', headers });
        return;
      }
      textOf(response).then(
        (text) => resolve({ status, isError: status >= 400, text, headers }),
        reject,
      );
    });
  });
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk;
  return text;
}

const plainHeaders = ({ headers }: IncomingMessage): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
