// An OTLP/HTTP collector for tests: takes JSON batches on a real socket and keeps the spans.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface CollectedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly traceState?: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly status: { readonly code: number };
  readonly attributes: readonly { key: string; value: Record<string, unknown> }[];
  readonly links: readonly { traceId: string; spanId: string }[];
}

interface Batch {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: CollectedSpan['attributes'] };
    readonly scopeSpans: readonly { readonly spans: readonly CollectedSpan[] }[];
  }[];
}

export interface Collector {
  readonly url: string;
  readonly spans: CollectedSpan[];
  /** The bodies as they came. */
  readonly bodies: string[];
  close(): Promise<void>;
}

/** @param answer `accept`, `refuse` with 400, or `hang`: read the batch and never answer. */
export async function startCollector(
  answer: 'accept' | 'refuse' | 'hang' = 'accept',
): Promise<Collector> {
  const spans: CollectedSpan[] = [];
  const bodies: string[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString();
      bodies.push(body);
      const batch = JSON.parse(body) as Batch;
      for (const { scopeSpans } of batch.resourceSpans) {
        for (const scope of scopeSpans) spans.push(...scope.spans);
      }
      if (answer === 'hang') return;
      response.writeHead(answer === 'accept' ? 200 : 400, { 'content-type': 'application/json' });
      response.end('{}');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/v1/traces`,
    spans,
    bodies,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

export function attributesOf(span: CollectedSpan | undefined): Record<string, unknown> {
  const pairs = span?.attributes.map(({ key, value }) => [key, Object.values(value)[0]]) ?? [];
  return Object.fromEntries(pairs) as Record<string, unknown>;
}
