/**
 * What an agent does to the sidecar under test: tool calls over MCP, and looks at the admin listener.
 * Shell: sends requests.
 */
import type { SidecarPorts, SidecarProcess } from './sidecar-process.ts';

export interface Mail {
  readonly to?: readonly string[];
  readonly subject?: string;
  readonly body?: string;
}

let lastId = 0;

/** A legacy MCP call of the tool `send_email`; allowed by the receipts policy unless `mail` says otherwise. */
export function mailCall(mail: Mail = {}, more: Readonly<Record<string, unknown>> = {}): string {
  lastId += 1;
  const args = { to: ['accountant@example.com'], subject: 'receipt', body: 'see above', ...mail };
  const params = { name: 'send_email', arguments: args, ...more };
  return JSON.stringify({ jsonrpc: '2.0', id: lastId, method: 'tools/call', params });
}

export const MCP_HEADERS = {
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
  'mcp-protocol-version': '2025-11-25',
};

export interface ToolAnswer {
  readonly status: number;
  readonly decisionId: string;
  /** Empty when the tool answered. */
  readonly reason: string;
  readonly text: string;
}

export async function post(
  url: string,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Readonly<Record<string, string>> = MCP_HEADERS,
): Promise<ToolAnswer> {
  const response = await fetch(url, { method: 'POST', headers, body });
  const text = await response.text();
  return {
    status: response.status,
    decisionId: response.headers.get('x-egret-decision-id') ?? '',
    reason: response.headers.get('x-egret-reason') ?? '',
    text,
  };
}

export const sendMail = (ports: SidecarPorts, mail: Mail = {}) =>
  post(`http://127.0.0.1:${ports.gateway}/mcp/mail`, mailCall(mail));

export interface Status {
  readonly ready: boolean;
  readonly problems: readonly string[];
  readonly calls: { readonly under_way: number; readonly tunnels: number };
  readonly uploads: number;
  readonly audit: { readonly healthy: boolean; readonly size: number; readonly openCalls: number };
  readonly bundles: readonly {
    readonly active_revision: string | null;
    readonly code: string | null;
    readonly message: string | null;
    readonly activations: number;
  }[];
}

export async function adminText(ports: SidecarPorts, path: string): Promise<string> {
  return (await fetch(`http://127.0.0.1:${ports.admin}${path}`)).text();
}

export const statusOf = async (sidecar: SidecarProcess): Promise<Status> =>
  JSON.parse(await adminText(sidecar.ports, '/status')) as Status;

/** Looks again and again until `holds` is true; the test runner's time-out is the bound. */
export async function eventually(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 20));
}
