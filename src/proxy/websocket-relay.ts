/**
 * An open WebSocket: frames pass both ways, each read strictly and written anew with a mask of our own. Whoever breaks
 * the protocol or a limit is told the close code for it, the other side that its peer is going away (1001). A connection
 * that breaks off without a close frame ends without one on the other side, so a cut never looks like an end.
 * Shell: owns both sockets and the timers of one WebSocket until both are closed.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import type { ReasonCode } from '../decision/reason.ts';
import { closeEvent, encodeFrame, type FrameEvent, FrameReader, type Sender } from './frame.ts';
import { FrameRate } from './frame-rate.ts';
import type { Forwarded } from './upstream.ts';

export interface RelayBounds {
  readonly messageBytesMax: number;
  readonly framesPerSecond: number;
  /** Milliseconds without a frame in either direction. */
  readonly idleMs: number;
  /** Milliseconds a side may leave what it is sent unread. */
  readonly writeStallMs: number;
}

/** How it went. `bytes` and `sha256` are of the payload that passed from the tool to the agent. */
export type Relayed = Pick<Forwarded, 'result' | 'reason' | 'bytes' | 'sha256'>;

export interface Relay {
  /** Resolves when both sockets are closed. */
  readonly ended: Promise<Relayed>;
  /** Tells both sides that the sidecar is going away. */
  drain(): void;
  /** Breaks both connections off. */
  cut(): void;
}

/** Close codes of RFC 6455 section 7.4.1. */
const GOING_AWAY = 1001;
const POLICY_VIOLATION = 1008;

/** For the answer to a close frame, and then again for the end of the connection. */
const CLOSE_MS = 3000;

interface End {
  readonly sender: Sender;
  readonly socket: Duplex;
  readonly reader: FrameReader;
  readonly rate: FrameRate;
  /** It sent a close frame. */
  saidClose: boolean;
  /** A close frame was sent to it; nothing may follow. */
  toldClose: boolean;
  stall: NodeJS.Timeout | null;
}

export function relay(agent: Duplex, tool: Duplex, bounds: RelayBounds): Relay {
  const running = new RunningRelay(agent, tool, bounds);
  return {
    ended: running.run(),
    drain: () => running.drain(),
    cut: () => running.cut(),
  };
}

class RunningRelay {
  readonly #agent: End;
  readonly #tool: End;
  readonly #bounds: RelayBounds;
  readonly #hash = createHash('sha256');
  readonly #idle: NodeJS.Timeout;
  #closing: NodeJS.Timeout | null = null;
  #bytes = 0;
  /** Set once: the first thing that ends it is what is recorded. */
  #outcome: Pick<Relayed, 'result' | 'reason'> | null = null;
  /** Nothing passes any more; both sockets are on their way to be closed. */
  #over = false;

  constructor(agent: Duplex, tool: Duplex, bounds: RelayBounds) {
    this.#bounds = bounds;
    this.#agent = endOf('agent', agent, bounds);
    this.#tool = endOf('tool', tool, bounds);
    this.#idle = setTimeout(
      () => this.#goAway({ result: 'completed', reason: null }),
      bounds.idleMs,
    );
  }

  async run(): Promise<Relayed> {
    const closed = [this.#agent, this.#tool].map((from) => this.#listen(from));
    await Promise.all(closed);
    clearTimeout(this.#idle);
    if (this.#closing !== null) clearTimeout(this.#closing);
    const outcome = this.#outcome ?? { result: 'completed', reason: null };
    return { ...outcome, bytes: this.#bytes, sha256: this.#hash.digest('hex') };
  }

  drain(): void {
    this.#goAway({ result: 'completed', reason: 'proxy.draining' });
  }

  cut(): void {
    this.#settle({ result: 'completed', reason: 'proxy.draining' });
    this.#destroy();
  }

  #listen(from: End): Promise<void> {
    const { socket } = from;
    return new Promise((resolve) => {
      const closed = () => {
        if (from.stall !== null) clearTimeout(from.stall);
        this.#ended(from);
        resolve();
      };
      socket.on('error', () => socket.destroy());
      if (socket.destroyed) {
        closed();
        return;
      }
      socket.once('close', closed);
      socket.once('end', () => this.#ended(from));
      socket.on('data', (chunk: Uint8Array) => this.#read(from, chunk));
      socket.resume();
    });
  }

  #read(from: End, chunk: Uint8Array): void {
    if (this.#over || from.saidClose) return;
    const to = from === this.#agent ? this.#tool : this.#agent;
    const nowMs = performance.now();
    let tooFast = false;
    const events = from.reader.read(chunk, () => {
      tooFast = !from.rate.take(nowMs);
      return !tooFast;
    });
    if (events.length > 0) this.#idle.refresh();
    to.socket.cork();
    for (const event of events) this.#pass(from, to, event);
    to.socket.uncork();
    if (tooFast) this.#violated(from, to, POLICY_VIOLATION);
    else if (to.socket.writableNeedDrain) this.#waitFor(to, from);
  }

  #pass(from: End, to: End, event: FrameEvent): void {
    if (event.kind === 'violation') {
      this.#violated(from, to, event.code);
      return;
    }
    if (to.toldClose) {
      if (event.kind === 'close') this.#closed(from, to);
      return;
    }
    if (event.kind === 'data' && to === this.#agent) {
      this.#bytes += event.payload.length;
      this.#hash.update(event.payload);
    }
    this.#tell(to, event);
    if (event.kind === 'close') this.#closed(from, to);
  }

  #tell(to: End, event: Exclude<FrameEvent, { kind: 'violation' }>): void {
    if (to.toldClose || !to.socket.writable) return;
    if (event.kind === 'close') to.toldClose = true;
    // RFC 6455 section 5.3: a mask the agent cannot foresee, so it does not choose the bytes on the wire.
    to.socket.write(encodeFrame(event, to.sender === 'tool' ? randomBytes(4) : null));
  }

  /** A close frame of `from` has been passed on, or answers ours. */
  #closed(from: End, to: End): void {
    from.saidClose = true;
    this.#settle({ result: 'completed', reason: null });
    if (to.saidClose) this.#finish();
    else this.#closing ??= setTimeout(() => this.#finish(), CLOSE_MS);
  }

  #violated(from: End, to: End, code: number): void {
    this.#settle(
      from === this.#agent
        ? { result: 'client_aborted', reason: 'call.bad_frame' }
        : { result: 'upstream_error', reason: 'upstream.bad_response' },
    );
    this.#tell(from, closeEvent(code));
    this.#tell(to, closeEvent(GOING_AWAY));
    this.#finish();
  }

  #goAway(outcome: Pick<Relayed, 'result' | 'reason'>): void {
    if (this.#over || this.#closing !== null) return;
    this.#settle(outcome);
    this.#tell(this.#agent, closeEvent(GOING_AWAY));
    this.#tell(this.#tool, closeEvent(GOING_AWAY));
    this.#closing = setTimeout(() => this.#finish(), CLOSE_MS);
  }

  /** `to` reads slowly: `from` is not read meanwhile, and not for ever. */
  #waitFor(to: End, from: End): void {
    if (to.stall !== null) return;
    from.socket.pause();
    const reason: ReasonCode | null = to === this.#tool ? 'upstream.timeout' : null;
    to.stall = setTimeout(() => {
      this.#settle({ result: reason === null ? 'client_aborted' : 'upstream_error', reason });
      this.#destroy();
    }, this.#bounds.writeStallMs);
    to.socket.once('drain', () => {
      if (to.stall !== null) clearTimeout(to.stall);
      to.stall = null;
      from.socket.resume();
    });
  }

  /** Its connection has ended, after a close frame or without one. */
  #ended(from: End): void {
    this.#settle(
      from === this.#agent
        ? { result: 'client_aborted', reason: null }
        : { result: 'upstream_error', reason: 'upstream.reset' },
    );
    this.#finish();
  }

  #settle(outcome: Pick<Relayed, 'result' | 'reason'>): void {
    this.#outcome ??= outcome;
  }

  /** Sends what is written already, reads on so that no reset overtakes it, and closes. */
  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#closing !== null) clearTimeout(this.#closing);
    this.#closing = setTimeout(() => this.#destroy(), CLOSE_MS);
    for (const { socket } of [this.#agent, this.#tool]) {
      socket.end(() => {
        if (socket.readableEnded) socket.destroy();
      });
      socket.once('end', () => {
        if (socket.writableFinished) socket.destroy();
      });
      socket.resume();
    }
  }

  #destroy(): void {
    this.#over = true;
    this.#agent.socket.destroy();
    this.#tool.socket.destroy();
  }
}

const endOf = (sender: Sender, socket: Duplex, bounds: RelayBounds): End => ({
  sender,
  socket,
  reader: new FrameReader(sender, bounds),
  rate: new FrameRate(bounds.framesPerSecond, performance.now()),
  saidClose: false,
  toldClose: false,
  stall: null,
});
