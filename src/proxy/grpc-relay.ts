/**
 * One gRPC call under way: messages pass both ways with back-pressure, then the trailers. A call that is cut ends as a
 * reset or as a status of our own, never as a success. Shell: owns both streams until both are closed.
 */
import { createHash } from 'node:crypto';
import { type ClientHttp2Stream, constants, type ServerHttp2Stream } from 'node:http2';
import type { HeaderList } from '../call/headers.ts';
import { type Permit, refuse } from '../decision/enforcement.ts';
import type { ReasonCode } from '../decision/reason.ts';
import {
  asObject,
  grpcStatus,
  readAnswer,
  readTrailers,
  renderGrpcRefusal,
} from './grpc-request.ts';
import type { Forwarded } from './upstream.ts';

export interface GrpcBounds {
  /** Bytes of all messages of the agent in one call. */
  readonly bodyBytesMax: number;
  /** Milliseconds without a byte in either direction. */
  readonly idleMs: number;
}

/** `grpcStatus`: what the tool says of the call; null when it did not. */
export type GrpcForwarded = Forwarded & { readonly grpcStatus: number | null };

export function notForwarded(reason: ReasonCode | null, startedMs: number): GrpcForwarded {
  return {
    result: 'upstream_error',
    reason,
    status: 0,
    contentType: null,
    bytes: 0,
    sha256: '',
    ttfbMs: 0,
    totalMs: performance.now() - startedMs,
    body: null,
    peer: null,
    grpcStatus: null,
  };
}

export class GrpcRelay {
  readonly #agent: ServerHttp2Stream;
  readonly #tool: ClientHttp2Stream;
  readonly #bounds: GrpcBounds & { readonly permit: Permit };
  readonly #hash = createHash('sha256');
  readonly #startedMs = performance.now();
  readonly #idle: NodeJS.Timeout;
  #outcome: Pick<Forwarded, 'result' | 'reason'> | null = null;
  #trailers: HeaderList = [];
  #status = 0;
  #contentType: string | null = null;
  #grpcStatus: number | null = null;
  #sent = 0;
  #bytes = 0;
  #ttfbMs = 0;

  constructor(
    agent: ServerHttp2Stream,
    tool: ClientHttp2Stream,
    bounds: GrpcBounds & { readonly permit: Permit },
  ) {
    this.#agent = agent;
    this.#tool = tool;
    this.#bounds = bounds;
    const late = () => this.#fail('upstream_error', 'upstream.timeout');
    this.#idle = setTimeout(late, bounds.idleMs);
  }

  async run(peer: string): Promise<GrpcForwarded> {
    await new Promise<void>((resolve) => {
      this.#tool.once('close', resolve);
      this.#toTool();
      this.#toAgent();
    });
    clearTimeout(this.#idle);
    this.#fail('upstream_error', 'upstream.reset');
    const { result, reason } = this.#outcome ?? { result: 'completed', reason: null };
    return {
      result,
      reason,
      status: this.#status,
      contentType: this.#contentType,
      bytes: this.#bytes,
      sha256: this.#hash.digest('hex'),
      ttfbMs: this.#ttfbMs,
      totalMs: performance.now() - this.#startedMs,
      body: null,
      peer,
      grpcStatus: this.#grpcStatus,
    };
  }

  #toTool(): void {
    const [agent, tool] = [this.#agent, this.#tool];
    agent.on('data', (chunk: Uint8Array) => {
      this.#idle.refresh();
      this.#sent += chunk.length;
      if (this.#sent > this.#bounds.bodyBytesMax) {
        this.#fail('client_aborted', 'call.too_large');
      } else if (!tool.destroyed && !tool.writableEnded && !tool.write(chunk)) {
        agent.pause();
      }
    });
    tool.on('drain', () => agent.resume());
    agent.on('end', () => {
      if (!tool.destroyed) tool.end();
    });
    agent.once('close', () => this.#fail('client_aborted', null));
    // What it says besides is in its reset code, and nobody is told more.
    agent.on('error', () => this.#fail('client_aborted', null));
  }

  #toAgent(): void {
    const [agent, tool] = [this.#agent, this.#tool];
    tool.once('response', (_headers, flags: number, raw: string[]) => this.#answered(raw, flags));
    tool.on('trailers', (_headers, _flags: number, raw: string[]) => this.#ending(raw));
    tool.on('data', (chunk: Uint8Array) => {
      this.#idle.refresh();
      if (agent.destroyed || this.#outcome !== null) return;
      this.#bytes += chunk.length;
      this.#hash.update(chunk);
      if (!agent.write(chunk)) tool.pause();
    });
    agent.on('drain', () => tool.resume());
    tool.once('end', () => this.#complete());
    tool.once('aborted', () => this.#fail('upstream_error', 'upstream.reset'));
    tool.on('error', () => this.#fail('upstream_error', 'upstream.reset'));
    agent.once('wantTrailers', () => {
      agent.sendTrailers(asObject(this.#trailers));
    });
  }

  #answered(raw: readonly string[], flags: number): void {
    const answer = readAnswer(raw);
    if (!answer.ok) {
      this.#fail('upstream_error', 'upstream.bad_response');
      return;
    }
    if (this.#agent.destroyed || this.#outcome !== null) return;
    const { headers, status } = answer;
    this.#status = status;
    this.#ttfbMs = performance.now() - this.#startedMs;
    this.#contentType = headers.find(([name]) => name === 'content-type')?.[1] ?? null;
    this.#grpcStatus = grpcStatus(headers);
    const { decisionId, warning } = this.#bounds.permit;
    const ours: [string, string][] = [['x-egret-decision-id', decisionId]];
    if (warning !== null) ours.push(['x-egret-warning', warning]);
    const ended = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    this.#agent.respond(
      { ':status': status, ...asObject([...headers, ...ours]) },
      ended ? { endStream: true } : { waitForTrailers: true },
    );
  }

  #ending(raw: readonly string[]): void {
    const trailers = readTrailers(raw);
    if (trailers === null) {
      this.#fail('upstream_error', 'upstream.bad_response');
      return;
    }
    this.#trailers = trailers;
    this.#grpcStatus = grpcStatus(trailers);
  }

  /** The tool says nothing more. Node says the same of a stream that was reset, which only its code tells. */
  #complete(): void {
    if (this.#outcome !== null) return;
    const whole = this.#grpcStatus !== null || this.#status >= 300;
    if (!whole || (this.#tool.rstCode ?? 0) !== constants.NGHTTP2_NO_ERROR) {
      this.#fail('upstream_error', 'upstream.reset');
      return;
    }
    this.#outcome = { result: 'completed', reason: null };
    const agent = this.#agent;
    if (!agent.writableEnded) agent.end();
  }

  /** The first thing that ends the call is what is recorded. */
  #fail(result: Forwarded['result'], reason: ReasonCode | null): void {
    if (this.#outcome !== null) return;
    this.#outcome = { result, reason };
    this.#tool.close(constants.NGHTTP2_CANCEL);
    const agent = this.#agent;
    if (agent.destroyed) return;
    if (agent.headersSent || reason === null) agent.close(constants.NGHTTP2_INTERNAL_ERROR);
    else {
      const { refusal } = refuse(this.#bounds.permit.decisionId, reason);
      agent.respond(renderGrpcRefusal(refusal), { endStream: true });
    }
  }
}
