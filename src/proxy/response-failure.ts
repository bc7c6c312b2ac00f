/**
 * Why an answer did not come, came broken or was cut, as a reason code: our own findings, and what undici's errors mean.
 * Pure.
 */
import type { ReasonCode } from '../decision/reason.ts';

/** What the sidecar itself found wrong with an answer; the message is for people who debug it. */
export class ResponseFault extends Error {
  override readonly name = 'ResponseFault';
  readonly reason: ReasonCode;

  constructor(reason: ReasonCode, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** No connection came about, so nothing was sent. */
export class DialFailure extends Error {
  override readonly name = 'DialFailure';
  readonly reason: ReasonCode;

  constructor(reason: ReasonCode) {
    super(reason);
    this.reason = reason;
  }
}

const REASON_OF_CODE: ReadonlyMap<string | undefined, ReasonCode> = new Map([
  ['UND_ERR_HEADERS_TIMEOUT', 'upstream.timeout'],
  ['UND_ERR_BODY_TIMEOUT', 'upstream.timeout'],
  ['UND_ERR_HEADERS_OVERFLOW', 'upstream.bad_response'],
]);
/** Errors of the parser carry no code in undici 8, so the words of llhttp have to do. */
const ENDED_EARLY = /\(Invalid EOF state\)$/;

/** @param inBody a sound head had come before. */
export function reasonOfFailure(error: Error & { code?: string }, inBody: boolean): ReasonCode {
  if (error instanceof DialFailure || error instanceof ResponseFault) return error.reason;
  // In a body they mean that it ended too early, in a head that it is none.
  if (error.code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH' || ENDED_EARLY.test(error.message)) {
    return inBody ? 'upstream.reset' : 'upstream.bad_response';
  }
  const known = REASON_OF_CODE.get(error.code);
  if (known !== undefined) return known;
  if (error.name === 'HTTPParserError') return 'upstream.bad_response';
  // So undici calls an answer that switches protocols or says "continue" although nobody asked.
  if (/^bad (upgrade|response)$/.test(error.message)) return 'upstream.bad_response';
  return 'upstream.reset';
}
