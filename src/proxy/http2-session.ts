/**
 * HTTP/2 toward the agent on a connection whose TLS ended here: every count bounded, no push, no CONNECT of any kind,
 * and a client that opens streams only to reset them (CVE-2023-44487) loses the connection.
 * Shell: owns one HTTP/2 session and its socket.
 */
import { constants, performServerHandshake, type ServerHttp2Stream } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { FrameRate } from './frame-rate.ts';

export interface Http2Bounds {
  readonly headerBytesMax: number;
  /** Milliseconds without a byte. */
  readonly idleMs: number;
}

export interface Http2Session {
  /** No new streams; those under way may end. */
  drain(): void;
  cut(): void;
}

const STREAMS_MAX = 100;
/** The header cap of HTTP/1.1 and the pseudo-headers. */
const HEADER_PAIRS_MAX = 110;
/** Streams a client may give up per second, and at once; a human cancels fewer. */
const RESETS_PER_SECOND = 50;

/** @param onStream gets each stream with its header list: name, value, name, value. */
export function serveHttp2(
  socket: Duplex,
  bounds: Http2Bounds,
  onStream: (stream: ServerHttp2Stream, raw: readonly string[]) => void,
): Http2Session {
  // What tls.Server does for its own sockets; without it the session waits for a handshake that is over.
  (socket as Partial<TLSSocket> & { secureConnecting?: boolean }).secureConnecting = false;
  const session = performServerHandshake(socket, {
    settings: {
      maxConcurrentStreams: STREAMS_MAX,
      maxHeaderListSize: bounds.headerBytesMax,
      enableConnectProtocol: false,
    },
    maxHeaderListPairs: HEADER_PAIRS_MAX,
    maxSettings: 32,
    maxSessionMemory: 10,
    maxSessionInvalidFrames: 10,
    maxSessionRejectedStreams: 50,
    streamResetBurst: RESETS_PER_SECOND * 2,
    streamResetRate: RESETS_PER_SECOND,
    strictSingleValueFields: true,
  });
  const resets = new FrameRate(RESETS_PER_SECOND, performance.now());
  session.on('error', () => session.destroy());
  // A call under way has its own time; frames at its end start this one anew.
  let streams = 0;
  session.setTimeout(bounds.idleMs, () => {
    if (streams === 0) session.destroy();
  });
  session.on('stream', (stream: ServerHttp2Stream, _headers, _flags, raw: string[]) => {
    streams += 1;
    stream.once('close', () => {
      streams -= 1;
    });
    stream.on('error', () => stream.destroy());
    stream.once('aborted', () => {
      if (resets.take(performance.now())) return;
      session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
      socket.destroy();
    });
    onStream(stream, raw);
  });
  return {
    drain: () => session.close(),
    cut() {
      session.destroy();
      socket.destroy();
    },
  };
}
