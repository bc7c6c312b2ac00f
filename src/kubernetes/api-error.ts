/**
 * What went wrong at the API server, as one class. Pure.
 */

/** Reasons that are ours; all others are those of the server (`NotFound`, `Conflict`, `Expired` …). */
export type OwnReason = 'Unreachable' | 'TooLarge' | 'TooMany' | 'Malformed';

export interface ApiFailure {
  /** Of the answer; 0 when there was none, or none that could be used. */
  readonly status: number;
  readonly reason: string;
  readonly message: string;
  /** What the server asked for with Retry-After; null when it did not. */
  readonly retryAfterMs?: number | null;
}

export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;
  readonly reason: string;
  readonly retryAfterMs: number | null;

  constructor(failure: ApiFailure, cause?: unknown) {
    super(failure.message, cause === undefined ? undefined : { cause });
    this.status = failure.status;
    this.reason = failure.reason;
    this.retryAfterMs = failure.retryAfterMs ?? null;
  }
}

export const ownError = (reason: OwnReason, message: string, cause?: unknown): ApiError =>
  new ApiError({ status: 0, reason, message }, cause);

/** An answer that is no success. @param body a Status as JSON, or whatever something on the way wrote. */
export function errorFromAnswer(
  status: number,
  body: string,
  retryAfter: string | string[] | undefined,
): ApiError {
  const said = statusIn(body);
  return new ApiError({
    status,
    reason: said.reason,
    message: said.message === '' ? `the API server answered ${status}` : said.message,
    retryAfterMs: millisecondsFrom(retryAfter) ?? said.retryAfterMs,
  });
}

/** Reads a Status of the API, as text or as object, believing nothing. */
export function statusIn(given: unknown): {
  readonly code: number;
  readonly reason: string;
  readonly message: string;
  readonly retryAfterMs: number | null;
} {
  const status = fieldsOf(typeof given === 'string' ? parsed(given) : given);
  const { code, reason, message } = status;
  const seconds = fieldsOf(status['details'])['retryAfterSeconds'];
  return {
    code: typeof code === 'number' ? code : 0,
    reason: typeof reason === 'string' && reason !== '' ? reason.slice(0, 64) : 'Unknown',
    message: typeof message === 'string' ? message.slice(0, 1024) : '',
    retryAfterMs: typeof seconds === 'number' && seconds > 0 ? seconds * 1000 : null,
  };
}

const fieldsOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Only seconds: the API server writes no dates, and a date would need a clock that agrees with its own. */
function millisecondsFrom(retryAfter: string | string[] | undefined): number | null {
  const text = Array.isArray(retryAfter) ? retryAfter[0] : retryAfter;
  return text !== undefined && /^\d{1,6}$/.test(text) ? Number(text) * 1000 : null;
}
