/** Requests of an agent as a policy of the Envoy dialect sees them, through the real recognition. Pure. */
import assert from 'node:assert/strict';
import { type Authority, parseAuthority } from '../../src/call/authority.ts';
import { parseCatalogue } from '../../src/call/catalogue.ts';
import { recognizeHttp } from '../../src/call/recognize.ts';
import type { JsonObject } from '../../src/call/tool-call.ts';
import { envoyInput } from '../../src/decision/dialect-envoy.ts';
import { type Facts, type PolicyInput, policyInput } from '../../src/decision/input.ts';

export const NO_TOOLS = parseCatalogue(
  'apiVersion: egret.dev/v1\nkind: ToolCatalogue\ntools: []\n',
  'tools.yaml',
);

export const FACTS: Facts = {
  uid: '019aa000-0000-7000-8000-000000000000',
  timeNs: 1_795_341_600_123_456_789n,
  environment: 'prod',
  run: { id: 'run-1', step: 3, trace_id: '0'.repeat(32) },
  agent: {
    id: 'spiffe://example.com/clerk',
    verified_by: 'sidecar-config',
    assurance: 'network',
    key_thumbprint: null,
  },
  user: null,
  workload: { namespace: null, pod: null, uid: null, service_account: null, labels: {} },
  attachments: [],
  ip: null,
  ipClass: null,
  tlsIntercepted: false,
};

export interface Asked {
  readonly method?: string;
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

interface Seen {
  readonly input: PolicyInput;
  readonly body: Uint8Array | null;
}

/** Null when recognition refuses it, so that no policy is asked. */
export async function seen({
  method = 'GET',
  url,
  headers = {},
  body,
}: Asked): Promise<Seen | null> {
  const [, scheme = '', authority = '', target = ''] = /^(https?):\/\/([^/]*)(.*)$/.exec(url) ?? [];
  const place = parseAuthority(authority, scheme === 'https' ? 443 : 80) as Authority;
  const bytes = body === undefined ? null : Buffer.from(body as string);
  const recognized = await recognizeHttp(
    {
      method,
      scheme,
      host: place.host,
      port: place.port,
      target,
      headers: [['Host', authority], ...Object.entries(headers)],
      body: bytes,
      server: null,
    },
    NO_TOOLS,
  );
  if (!recognized.ok) return null;
  return { input: policyInput(recognized.call, FACTS), body: bytes === null ? null : bytes };
}

export async function envoySees(asked: Asked): Promise<JsonObject> {
  const found = await seen(asked);
  assert.ok(found !== null, `recognition refuses ${JSON.stringify(asked)}`);
  return rendered(found);
}

/** As the engine gets it. */
export const rendered = ({ input, body }: Seen): JsonObject =>
  JSON.parse(
    JSON.stringify(envoyInput(input, { body, httpVersion: '1.1', remoteAddress: '10.0.0.7' })),
  ) as JsonObject;
