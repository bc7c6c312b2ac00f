/**
 * W3C Trace Context level 1: which trace a call belongs to. The headers come from the agent and are hostile: what does
 * not parse exactly starts a new trace, and `tracestate` is passed on only when it is well formed and small. Nothing
 * here is an identity; a trace id proves nothing. Pure.
 */

export interface TraceContext {
  /** 32 lower-case hex digits, not all zero. */
  readonly traceId: string;
  /** 16 lower-case hex digits, not all zero; the span of whoever sent the header. */
  readonly spanId: string;
  /** True when the sender says that it records this trace. */
  readonly sampled: boolean;
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const TRACEPARENT_CHARS_MAX = 256;
const NO_TRACE = '0'.repeat(32);
const NO_SPAN = '0'.repeat(16);

/** Members of one tracestate; the specification's maximum. */
const MEMBERS_MAX = 32;
/** Characters of one tracestate; what the specification asks everybody to pass on. */
const TRACESTATE_CHARS_MAX = 512;
const MEMBER =
  /^(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;

/**
 * @returns null when the header is missing or anything but exactly well formed. A version above 00 is read by its
 * first four fields, as the specification demands; version ff is invalid.
 */
export function parseTraceparent(header: string | undefined): TraceContext | null {
  if (header === undefined || header.length > TRACEPARENT_CHARS_MAX) return null;
  const found = TRACEPARENT.exec(header);
  if (found === null) return null;
  const [, version = '', traceId = '', spanId = '', flags = '', rest] = found;
  if (version === 'ff' || (version === '00' && rest !== undefined)) return null;
  if (traceId === NO_TRACE || spanId === NO_SPAN) return null;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

/** The header for the next party, always version 00. */
export function renderTraceparent(context: TraceContext): string {
  return `00-${context.traceId}-${context.spanId}-${context.sampled ? '01' : '00'}`;
}

/**
 * What may be passed on of a tracestate: whole members from the left within 32 members and 512 characters.
 * @returns null when nothing is left, or when any member is malformed or a key comes twice.
 */
export function boundedTracestate(header: string | undefined): string | null {
  if (header === undefined || header.length > 16 * TRACESTATE_CHARS_MAX) return null;
  const members = header
    .split(',')
    .map((member) => member.replace(/^[ \t]+|[ \t]+$/g, ''))
    .filter((member) => member !== '');
  if (!members.every((member) => MEMBER.test(member))) return null;
  const keys = new Set(members.map((member) => member.slice(0, member.indexOf('='))));
  if (keys.size !== members.length) return null;
  let text = '';
  for (const member of members.slice(0, MEMBERS_MAX)) {
    const longer = text === '' ? member : `${text},${member}`;
    if (longer.length > TRACESTATE_CHARS_MAX) break;
    text = longer;
  }
  return text === '' ? null : text;
}

/**
 * Whether a trace without a parent is sampled: a fixed choice per trace id, so that every part that sees the id and
 * the same ratio chooses the same.
 * @param ratio 0 (never) to 1 (always).
 */
export function sampledByRatio(traceId: string, ratio: number): boolean {
  return Number.parseInt(traceId.slice(-13), 16) < ratio * 2 ** 52;
}
