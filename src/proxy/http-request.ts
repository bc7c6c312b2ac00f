/**
 * The request that leaves for a recognised HTTP call: the normal form of its target, its headers without what may not
 * travel, and the very bytes that were read. Pure.
 */
import { forwardHeaders } from '../call/headers.ts';
import type { Recognized } from '../call/recognize.ts';
import type { Incoming } from './exchange.ts';
import type { Recognition } from './route.ts';
import type { Origin } from './upstream.ts';

/** `Host` is written anew from the origin, so it always is the place that policy saw. */
const DROP = { drop: ['host'] };

export function outgoingHttp(
  incoming: Incoming,
  recognized: Recognized & { ok: true },
  origin: Origin,
): Recognition {
  const { call } = recognized;
  return {
    ok: true,
    call,
    outgoing: {
      method: incoming.method,
      origin,
      path: recognized.target,
      headers: forwardHeaders(incoming.headers, DROP),
      body: recognized.body,
    },
    place: recognized.json ? 'json_root' : null,
    shape: { kind: 'http' },
    jsonrpcId: null,
    traceparent: null,
  };
}
