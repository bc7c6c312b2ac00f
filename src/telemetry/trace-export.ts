/**
 * Sends finished spans to an OTLP/HTTP collector through the OpenTelemetry SDK. Never waits for the collector and
 * never throws: at most `SPANS_QUEUED_MAX` spans wait, and what does not fit or cannot be delivered is counted and
 * forgotten. Loaded only when an endpoint is configured. Shell: owns the queue and the connections to the collector.
 */
import { type HrTime, type Link, SpanKind, SpanStatusCode, TraceFlags } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { type Resource, resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, type ReadableSpan, type SpanExporter } from '@opentelemetry/sdk-trace';
import { printable } from './redaction.ts';
import { type Attributes, isAttributeName, SCHEMA_URL, SCOPE_NAME } from './semconv.ts';
import type { TraceContext } from './trace-context.ts';

export type Kind = 'server' | 'client' | 'internal';

export interface FinishedSpan {
  readonly name: string;
  readonly kind: Kind;
  readonly context: TraceContext;
  readonly parent: (TraceContext & { readonly remote: boolean }) | null;
  readonly tracestate: string | null;
  /** Milliseconds since 1970, with fraction. */
  readonly startMs: number;
  readonly endMs: number;
  readonly failed: boolean;
  readonly attributes: Attributes;
  readonly links: readonly TraceContext[];
}

export interface SpanSink {
  /** Takes the spans of one call, all of them or none. Returns at once. */
  write(spans: readonly FinishedSpan[]): void;
  /** Sends what is waiting, or gives up after `exportTimeoutMs`; then closes. Never rejects. */
  close(): Promise<void>;
}

export interface SinkOptions {
  /** Full URL, usually ending in /v1/traces. Headers may come from OTEL_EXPORTER_OTLP_HEADERS. */
  readonly endpoint: string;
  readonly resource: Readonly<Record<string, string>>;
  /** Milliseconds for one batch to arrive, retries included. */
  readonly exportTimeoutMs: number;
  /** Milliseconds that a span waits for others at most. */
  readonly batchDelayMs: number;
  readonly onDropped: (spans: number) => void;
}

/** About 1 MiB of spans: some seconds of a busy sidecar, nothing that could hurt it. */
export const SPANS_QUEUED_MAX = 4096;
const BATCH_SPANS_MAX = 512;
/** UTF-16 units of a name or an attribute. */
const TEXT_CHARS_MAX = 256;
const KINDS = {
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  internal: SpanKind.INTERNAL,
} as const satisfies Record<Kind, SpanKind>;

export function openSpanSink(options: SinkOptions): SpanSink {
  const resource = resourceFromAttributes(options.resource);
  let waiting = 0;
  const exporter = new OTLPTraceExporter({
    url: options.endpoint,
    timeoutMillis: options.exportTimeoutMs,
  });
  const underWay = new Set<Promise<void>>();
  const counted: SpanExporter = {
    export(spans, done) {
      waiting -= spans.length;
      const delivery = Promise.withResolvers<void>();
      underWay.add(delivery.promise);
      exporter.export(spans, (result) => {
        if (result.code !== 0) options.onDropped(spans.length);
        underWay.delete(delivery.promise);
        delivery.resolve();
        done(result);
      });
    },
    shutdown: () => Promise.resolve(),
  };
  const processor = new BatchSpanProcessor({
    exporter: counted,
    maxQueueSize: SPANS_QUEUED_MAX,
    maxExportBatchSize: BATCH_SPANS_MAX,
    scheduledDelayMillis: options.batchDelayMs,
    exportTimeoutMillis: options.exportTimeoutMs + 1000,
  });
  return {
    write(spans) {
      if (waiting + spans.length > SPANS_QUEUED_MAX) {
        options.onDropped(spans.length);
        return;
      }
      waiting += spans.length;
      for (const span of spans) processor.onEnd(readable(span, resource));
    },
    async close() {
      // Rejects at the first batch that fails, which the callback above has counted; the others end in time, too.
      await processor.shutdown().catch(() => undefined);
      await Promise.all(underWay);
      await exporter.shutdown();
    },
  };
}

/** Only listed names, only short printable text. */
function listed(attributes: Attributes): Attributes {
  const kept = Object.entries(attributes).filter(
    ([name, value]) => isAttributeName(name) && value !== undefined,
  );
  return Object.fromEntries(
    kept.map(([name, value]) => [
      name,
      typeof value === 'string' ? printable(value, TEXT_CHARS_MAX) : value,
    ]),
  );
}

/** The span in the SDK's own shape. It is marked as sampled, because whoever writes it has decided to keep it. */
function readable(span: FinishedSpan, resource: Resource): ReadableSpan {
  const startTime = hrTime(span.startMs);
  const { tracestate } = span;
  const context = spanContext({ ...span.context, sampled: true });
  return {
    name: printable(span.name, TEXT_CHARS_MAX),
    kind: KINDS[span.kind],
    spanContext: () =>
      tracestate === null ? context : { ...context, traceState: traceState(tracestate) },
    ...(span.parent === null
      ? {}
      : { parentSpanContext: { ...spanContext(span.parent), isRemote: span.parent.remote } }),
    startTime,
    endTime: hrTime(span.endMs),
    duration: hrTime(span.endMs - span.startMs),
    status: { code: span.failed ? SpanStatusCode.ERROR : SpanStatusCode.UNSET },
    attributes: listed(span.attributes),
    links: span.links.map((link): Link => ({ context: { ...spanContext(link), isRemote: true } })),
    events: [],
    ended: true,
    resource,
    instrumentationScope: { name: SCOPE_NAME, schemaUrl: SCHEMA_URL },
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  };
}

const spanContext = ({ traceId, spanId, sampled }: TraceContext) => ({
  traceId,
  spanId,
  traceFlags: sampled ? TraceFlags.SAMPLED : TraceFlags.NONE,
});

/** Opaque to us: it is only handed on. */
function traceState(text: string) {
  const state = {
    serialize: () => text,
    get: () => undefined,
    set: () => state,
    unset: () => state,
  };
  return state;
}

function hrTime(milliseconds: number): HrTime {
  const seconds = Math.floor(milliseconds / 1000);
  return [seconds, Math.round((milliseconds - seconds * 1000) * 1e6)];
}
