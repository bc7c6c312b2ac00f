/**
 * Traces: one server span per call toward the agent, with children for deciding, recording and the tool. Ids and
 * propagation always work; spans are recorded only when an endpoint is configured. Whether a trace is kept is decided
 * when the call ends: sampled traces, and all that were denied, held or failed. The agent's trace context is believed
 * for correlation only; its baggage is dropped. Shell: owns the pool of random ids and the span sink.
 */
import { randomFillSync } from 'node:crypto';
import type { Attributes } from './semconv.ts';
import {
  boundedTracestate,
  parseTraceparent,
  renderTraceparent,
  sampledByRatio,
  type TraceContext,
} from './trace-context.ts';
import type { FinishedSpan, Kind, SpanSink } from './trace-export.ts';

export interface TracingOptions {
  /** OTLP/HTTP URL for traces. Without it nothing is recorded and no SDK is loaded. */
  readonly endpoint?: string;
  readonly serviceName: string;
  readonly serviceVersion: string;
  /** More resource attributes, e.g. `k8s.pod.name`. Operator's configuration, no secrets. */
  readonly resource?: Readonly<Record<string, string>>;
  /** Part of the traces without a parent that is kept, 0 to 1. Default 1. */
  readonly sampleRatio?: number;
  /** Called with the number of spans that were lost to a full queue or a failing collector. */
  readonly onDropped?: (spans: number) => void;
  /** Milliseconds for one batch to arrive. Default 5000. */
  readonly exportTimeoutMs?: number;
  /** Milliseconds that a span waits for a batch at most. Default 1000. */
  readonly batchDelayMs?: number;
}

export interface CallStart {
  /** Of the party that counts as parent: MCP `_meta` where there is one, else the HTTP header. */
  readonly traceparent?: string | undefined;
  readonly tracestate?: string | undefined;
  readonly name: string;
  readonly attributes?: Attributes;
  /** `traceparent` texts of related traces, e.g. the HTTP header beside MCP `_meta`. At most 4 count. */
  readonly links?: readonly (string | undefined)[];
  /** `performance.now()` when the call arrived; default now. */
  readonly startedAt?: number;
}

export interface SpanEnd {
  /** Marks the span as an error. A denial is none. */
  readonly failed?: boolean;
  readonly attributes?: Attributes;
}

export interface CallEnd extends SpanEnd {
  /** Keep the trace although it is not sampled: denied and held calls. Failed ones are kept anyway. */
  readonly keep?: boolean;
}

export interface Span {
  /** Header for the party that this span calls. */
  traceparent(): string;
  /** Ends the span; every further call does nothing. */
  end(end?: SpanEnd): void;
}

export interface CallSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** The flag that is handed on, and whether an exemplar of this trace can be found. */
  readonly sampled: boolean;
  /** For the next party beside `traceparent`; null when there is none. */
  readonly tracestate: string | null;
  child(name: string, kind: Kind, attributes?: Attributes): Span;
  setName(name: string): void;
  setAttributes(attributes: Attributes): void;
  end(end?: CallEnd): void;
}

export interface Tracing {
  /** False when no span leaves: attributes need not be made then. */
  readonly exporting: boolean;
  startCall(start: CallStart): CallSpan;
  /** Sends what waits, bounded by `exportTimeoutMs`. */
  close(): Promise<void>;
}

const LINKS_MAX = 4;
const CHILDREN_MAX = 32;

export async function createTracing(options: TracingOptions): Promise<Tracing> {
  const ratio = options.sampleRatio ?? 1;
  if (options.endpoint === undefined) {
    return {
      exporting: false,
      startCall: (start) => unrecordedCall(identify(start, 0)),
      close: () => Promise.resolve(),
    };
  }
  const { openSpanSink } = await import('./trace-export.ts');
  const onDropped = options.onDropped ?? (() => undefined);
  const sink = openSpanSink({
    endpoint: options.endpoint,
    resource: {
      ...options.resource,
      'service.name': options.serviceName,
      'service.version': options.serviceVersion,
    },
    exportTimeoutMs: options.exportTimeoutMs ?? 5000,
    batchDelayMs: options.batchDelayMs ?? 1000,
    onDropped,
  });
  return {
    exporting: true,
    startCall: (start) => new RecordedCall(sink, start, identify(start, ratio), onDropped),
    close: () => sink.close(),
  };
}

interface Identity {
  readonly context: TraceContext;
  readonly parent: TraceContext | null;
  readonly tracestate: string | null;
}

function identify(start: CallStart, ratio: number): Identity {
  const parent = parseTraceparent(start.traceparent);
  const traceId = parent?.traceId ?? randomHex(16);
  const sampled = parent === null ? sampledByRatio(traceId, ratio) : parent.sampled;
  const tracestate = parent === null ? null : boundedTracestate(start.tracestate);
  return { context: { traceId, spanId: randomHex(8), sampled }, parent, tracestate };
}

/**
 * A call of which nothing is exported. The sender's context is handed on as it came: a span id that nobody records
 * would cut the trace in two.
 */
function unrecordedCall({ context, parent, tracestate }: Identity): CallSpan {
  const nothing = () => undefined;
  const span: Span = { traceparent: () => renderTraceparent(parent ?? context), end: nothing };
  return {
    ...context,
    tracestate,
    child: () => span,
    setName: nothing,
    setAttributes: nothing,
    end: nothing,
  };
}

/** One call whose spans are held back until its end says whether they are kept. */
class RecordedCall implements CallSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly sampled: boolean;
  readonly tracestate: string | null;
  readonly #sink: SpanSink;
  readonly #identity: Identity;
  readonly #onDropped: (spans: number) => void;
  readonly #links: readonly TraceContext[];
  readonly #startedAt: number;
  /** Wall clock at `performance.now() === 0` as of the call's start: a clock step never bends a span. */
  readonly #epochMs: number;
  #name: string;
  #attributes: Attributes;
  #children = 0;
  #finished: FinishedSpan[] = [];
  #state: 'open' | 'kept' | 'dropped' = 'open';

  constructor(
    sink: SpanSink,
    start: CallStart,
    identity: Identity,
    onDropped: (spans: number) => void,
  ) {
    this.traceId = identity.context.traceId;
    this.spanId = identity.context.spanId;
    this.sampled = identity.context.sampled;
    this.tracestate = identity.tracestate;
    this.#sink = sink;
    this.#identity = identity;
    this.#onDropped = onDropped;
    this.#links = (start.links ?? [])
      .slice(0, LINKS_MAX)
      .map(parseTraceparent)
      .filter((link) => link !== null);
    const now = performance.now();
    this.#epochMs = Date.now() - now;
    this.#startedAt = start.startedAt ?? now;
    this.#name = start.name;
    this.#attributes = { ...start.attributes };
  }

  setName(name: string): void {
    this.#name = name;
  }

  setAttributes(attributes: Attributes): void {
    if (this.#state === 'open') Object.assign(this.#attributes, attributes);
  }

  child(name: string, kind: Kind, attributes?: Attributes): Span {
    const context = { ...this.#identity.context, spanId: randomHex(8) };
    const startedAt = performance.now();
    const recorded = this.#children < CHILDREN_MAX;
    if (recorded) this.#children += 1;
    else this.#onDropped(1);
    let ended = !recorded;
    return {
      traceparent: () => renderTraceparent(recorded ? context : this.#identity.context),
      end: (end = {}) => {
        if (ended) return;
        ended = true;
        const parent = { ...this.#identity.context, remote: false };
        const own = { ...attributes, ...end.attributes };
        const failed = end.failed ?? false;
        this.#finish(
          { name, kind, context, parent, links: [], failed, attributes: own },
          startedAt,
        );
      },
    };
  }

  end(end: CallEnd = {}): void {
    if (this.#state !== 'open') return;
    this.setAttributes(end.attributes ?? {});
    const { context, parent } = this.#identity;
    this.#finish(
      {
        name: this.#name,
        kind: 'server',
        context,
        parent: parent === null ? null : { ...parent, remote: true },
        links: this.#links,
        failed: end.failed ?? false,
        attributes: this.#attributes,
      },
      this.#startedAt,
    );
    const kept = this.sampled || end.keep === true || end.failed === true;
    this.#state = kept ? 'kept' : 'dropped';
    if (kept) this.#sink.write(this.#finished);
    this.#finished = [];
  }

  #finish(span: Omit<FinishedSpan, 'startMs' | 'endMs' | 'tracestate'>, startedAt: number): void {
    if (this.#state === 'dropped') return;
    const finished = {
      ...span,
      tracestate: this.tracestate,
      startMs: this.#epochMs + startedAt,
      endMs: this.#epochMs + performance.now(),
    };
    if (this.#state === 'open') this.#finished.push(finished);
    else this.#sink.write([finished]);
  }
}

const POOL = Buffer.allocUnsafeSlow(4096);
let poolUsed = POOL.length;

/** Random bytes as lower-case hex. One system call fills the pool for hundreds of ids. */
function randomHex(bytes: number): string {
  if (poolUsed + bytes > POOL.length) {
    randomFillSync(POOL);
    poolUsed = 0;
  }
  poolUsed += bytes;
  return POOL.toString('hex', poolUsed - bytes, poolUsed);
}
