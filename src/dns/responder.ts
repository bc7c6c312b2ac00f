/**
 * One message in, at most one message out, the same for UDP and TCP: bounded in rate, decided by names and type,
 * watched for tunnelling. Holds no socket, so nothing in here could send a query on. Pure.
 */
import { answerFor, createZone } from './answer.ts';
import { type Answer, decodeQuery, encodeAnswer } from './message.ts';
import { createNames, type Names } from './names.ts';
import { createTokenBucket } from './token-bucket.ts';
import { createTunnellingWatch, type Suspicion, type TunnellingSign } from './tunnelling.ts';

/** What became of a message; `limited`: over the rate, `malformed`: no query at all. */
export type DnsResult = Answer['kind'] | 'limited' | 'malformed';

export interface ResponderOptions {
  /** The one address of every name. */
  readonly ipv4: string;
  /** Default: names have no IPv6 address. */
  readonly ipv6?: string | undefined;
  /** Seconds an address may be kept. */
  readonly ttlSeconds: number;
  /** Queries answered per second, twice as many at once; others are refused, broken ones dropped. */
  readonly queriesPerSecond: number;
  /** Host names and `*.` patterns to begin with. */
  readonly names: Iterable<string>;
  /** Called once for each message that came. */
  readonly counted: (result: DnsResult) => void;
  /** Called for each query that shows a sign of tunnelling. */
  readonly signed: (sign: TunnellingSign) => void;
  /** Called seldom: at most once per client, parent and minute, 30 times a minute in all. */
  readonly suspected: (suspicion: Suspicion) => void;
}

export interface Responder {
  /** The reply to any bytes, null when there is none. Never throws. @param nowMs on a monotonic clock. */
  respond(bytes: Uint8Array, client: string, nowMs: number): Uint8Array | null;
  /** From the next message on, these names and no others may be asked for. */
  setNames(patterns: Iterable<string>): void;
}

/** @throws RangeError when a configured address is none. */
export function createResponder(options: ResponderOptions, startMs: number): Responder {
  const { counted, signed, suspected } = options;
  const zone = createZone(options);
  const bucket = createTokenBucket(options.queriesPerSecond, startMs);
  const watch = createTunnellingWatch();
  let names: Names = createNames(options.names);
  return {
    respond(bytes, client, nowMs) {
      const within = bucket.take(nowMs);
      const decoded = decodeQuery(bytes);
      if (!decoded.ok) {
        counted('malformed');
        return within ? decoded.reply : null;
      }
      const { query } = decoded;
      if (!within) {
        counted('limited');
        return encodeAnswer(query, { kind: 'refused' });
      }
      const standing = names.look(query.name);
      const answer = answerFor(query, standing.kind, zone);
      const refusedType = answer.kind === 'refused';
      const { sign, report } = watch.observe({ client, standing, refusedType }, nowMs);
      if (sign !== null) signed(sign);
      if (report !== null) suspected(report);
      counted(answer.kind);
      return encodeAnswer(query, answer);
    },
    setNames(patterns) {
      names = createNames(patterns);
    },
  };
}
