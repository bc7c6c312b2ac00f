/**
 * The policy input that the benchmark's request becomes in the sidecar: a mail through the gateway, about 1 KB. Pure.
 */
import type { PolicyInput } from '../src/decision/input.ts';
import { ALLOWED_BODY } from './request.ts';

/** @param uid the decision id. */
export function sampleInput(uid: string): PolicyInput {
  const { params } = JSON.parse(ALLOWED_BODY) as {
    readonly params: { readonly arguments: { readonly subject: string; readonly body: string } };
  };
  const { subject, body } = params.arguments;
  return {
    uid,
    phase: 'request',
    time: '2026-11-22T10:00:00.000Z',
    time_ns: 1_795_341_600_000_000_000n,
    environment: 'prod',
    run: { id: 'connection-1', step: 1, trace_id: '4bf92f3577b34da6a3ce929d0e0e4736' },
    agent: {
      id: 'bench',
      verified_by: 'sidecar-config',
      assurance: 'network',
      key_thumbprint: null,
    },
    user: null,
    workload: { namespace: null, pod: null, uid: null, service_account: null, labels: {} },
    tool: {
      name: 'gmail.send',
      server: 'mail',
      operation: 'write',
      risk: 'high',
      sink: 'mail',
      known: true,
      definition_hash: null,
    },
    arguments: { to: ['accountant@example.com'], cc: [], bcc: [], subject, text: body },
    arguments_state: 'parsed',
    attachments: [],
    destination: {
      scheme: 'http',
      host: '127.0.0.1',
      port: 7001,
      path: '/mcp',
      segments: ['mcp'],
      query: {},
      ip: '127.0.0.1',
      ip_class: 'loopback',
      tls_intercepted: false,
    },
    http: {
      method: 'POST',
      headers: { 'content-type': ['application/json'], 'mcp-protocol-version': ['2025-11-25'] },
    },
    mcp: { version: '2025-11-25', method: 'tools/call' },
    scope: { kind: 'none', id: null },
    context: { labels: [], inputs: [] },
    state: { limits: {}, history: [], approval: null, break_glass: null },
    response: null,
  };
}
