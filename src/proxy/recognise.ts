/**
 * From a request that has arrived to what it asks for: look at method, target and headers, read the body within its
 * bounds, let the route recognise the call. Shell: reads the body of one request.
 */
import type { ReasonCode } from '../decision/reason.ts';
import type { Incoming } from './exchange.ts';
import type { PolicyState } from './ports.ts';
import { type Recognition, type Route, unrecognized } from './route.ts';

export interface Arrival {
  readonly route: Route;
  readonly incoming: Incoming;
  /** The revision whose catalogue names the tools. */
  readonly policy: PolicyState;
  readonly bodyBytesMax: number;
}

export interface Recognised {
  readonly recognition: Recognition;
  readonly body: Uint8Array | null;
}

/** @param reserve asks for room for a body; false when too much is held already (`call.overloaded`). */
export async function recognise(
  { route, incoming, policy, bodyBytesMax }: Arrival,
  reserve: (bytes: number) => boolean,
): Promise<Recognised> {
  const early = route.precheck(incoming);
  if (early !== null) return { recognition: early, body: null };
  const not = (reason: ReasonCode, detail: string): Recognised => ({
    recognition: unrecognized(reason, detail, route.shape),
    body: null,
  });
  const catalogue = policy.policy?.catalogue;
  if (catalogue === undefined) return not('bundle.missing', 'no policy is loaded');
  if (!reserve(announcedBytes(incoming, bodyBytesMax))) {
    return not('call.overloaded', 'too many bytes are held already');
  }
  const body = await incoming.readBody(bodyBytesMax);
  if (!body.ok) return not(body.reason, 'the body could not be read whole');
  const recognition = await route.recognize(incoming, body.bytes, catalogue);
  return { recognition, body: body.bytes };
}

/** Bytes to set aside for a body before it is read: what it announces, or the maximum when it announces nothing. */
function announcedBytes(incoming: Incoming, bytesMax: number): number {
  let bytes = 0;
  for (const [name, value] of incoming.headers) {
    const lower = name.toLowerCase();
    if (lower === 'transfer-encoding') return bytesMax;
    if (lower === 'content-length') bytes = Math.min(Number(value), bytesMax);
  }
  return bytes;
}
