/**
 * Records for the tests of the audit log: a decision about a mail and the outcome of its call. Pure.
 */

import {
  type DecisionRecord,
  interruptedCall,
  type OutcomeRecord,
} from '../../src/audit/record.ts';
import type { JsonObject } from '../../src/call/tool-call.ts';
import type { PolicyInput } from '../../src/decision/input.ts';
import type { Obligation } from '../../src/decision/verdict.ts';

export const SHA256 = 'a'.repeat(64);

export function mailInput(id: string, args: JsonObject): PolicyInput {
  return {
    uid: id,
    phase: 'request',
    time: '2026-11-22T10:00:00.000Z',
    time_ns: 1_795_341_600_000_000_001n,
    environment: 'prod',
    run: { id: 'run-1', step: 3, trace_id: '0af7651916cd43dd8448eb211c80319c' },
    agent: {
      id: 'receipts-bot',
      verified_by: 'sidecar-config',
      assurance: 'network',
      key_thumbprint: null,
    },
    user: null,
    workload: { namespace: 'agents', pod: 'bot-1', uid: null, service_account: 'bot', labels: {} },
    tool: {
      name: 'gmail.send',
      server: 'mail',
      operation: 'write',
      risk: 'high',
      sink: 'mail',
      known: true,
      definition_hash: null,
    },
    arguments: args,
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
    http: { method: 'POST', headers: { accept: ['application/json'] } },
    mcp: { version: '2025-11-25', method: 'tools/call' },
    scope: { kind: 'none', id: null },
    context: { labels: [], inputs: [] },
    state: { limits: {}, history: [], approval: null, break_glass: null },
    response: null,
  };
}

export const MAIL_ARGUMENTS: JsonObject = {
  to: ['accountant@example.com'],
  subject: 'Receipt for October',
  text: 'Please find the receipt attached.',
  from: 'me@example.com',
};

export interface DecisionParts {
  readonly args?: JsonObject;
  readonly obligations?: readonly Obligation[];
  readonly action?: 'forward' | 'refuse' | 'advise';
}

export function decision(id: string, parts: DecisionParts = {}): DecisionRecord {
  const action = parts.action ?? 'forward';
  return {
    decisionId: id,
    input: mailInput(id, parts.args ?? MAIL_ARGUMENTS),
    verdict: {
      outcome: action === 'refuse' ? 'deny' : 'allow',
      reason: action === 'refuse' ? 'policy.denied' : 'policy.allowed',
      message: 'receipts go to the accountant',
      reasons: [
        {
          code: 'policy.allowed',
          policy: 'receipts',
          rule: 'allow',
          message: 'receipts go to the accountant',
        },
      ],
      obligations: parts.obligations ?? [],
      warnings: [],
      policy: { set: 'main', revision: 'r42', digest: `sha256:${SHA256}` },
      fuel: 41_000,
      evalNs: 17_250,
    },
    enforcement: {
      action,
      mode: 'deny',
      reason: action === 'refuse' ? 'policy.denied' : 'policy.allowed',
      would_deny: false,
    },
    listener: 'gateway',
    traceId: '0af7651916cd43dd8448eb211c80319c',
    spanId: 'b7ad6b7169203331',
    pathTemplate: null,
    body: { bytes: 330, sha256: SHA256 },
    jsonrpcId: 7,
    requestedBy: '127.0.0.1:51234',
  };
}

export const outcome = (ref: string): OutcomeRecord => ({
  ...interruptedCall(ref),
  result: 'completed',
  status: 200,
  isError: false,
  contentType: 'application/json',
  bytes: 512,
  sha256: SHA256,
  ttfbMs: 3.25,
  totalMs: 4.5,
});
