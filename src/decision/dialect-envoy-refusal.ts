/**
 * What an OPA-Envoy policy wants the caller of a denied call to see: status, headers and text. A status that would look
 * like success or send the caller elsewhere becomes 403; headers that frame the answer, belong to one connection, set
 * cookies, lead away or are our own stay out; a long text is cut. Each of these is a warning in the verdict. Pure.
 */
import type { StatedRefusal } from './verdict.ts';

/** Bytes of a text in UTF-8. A refusal is read by a person or a model; nothing longer would be. */
export const REFUSAL_BODY_BYTES_MAX = 64 * 1024;
const HEADERS_MAX = 32;
const NAME_SHOWN = 64;
const STATUS = 403;
const HEADER_NAME = /^[A-Za-z0-9!#$%&'*+.^`|~_-]{1,64}$/;
const HEADER_VALUE = /^[\x20-\x7e\t]{0,1024}$/;
/**
 * Framing and connection; credentials, because an agent would keep and return a cookie in the name of the tool; places,
 * because it would follow them; what refusals of ours carry already.
 */
const NOT_SENT =
  /^(content-(?!(?:type|language)$).*|transfer-encoding|connection|keep-alive|te|trailer|upgrade|proxy-.*|host|date|age|via|set-cookie2?|location|refresh|alt-svc|cache-control|x-content-type-options|mcp-.*|sec-.*|x-egret-.*)$/i;

export interface RefusalWish {
  /** Undefined when the policy names none. */
  readonly status: number | undefined;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
}

/** @returns no refusal when the policy wants nothing but what every denial gets. */
export function refusalOf(wish: RefusalWish): {
  readonly refusal: StatedRefusal | null;
  readonly warnings: readonly string[];
} {
  const { status, headers, body } = wish;
  if (status === undefined && headers.length === 0 && body === '') {
    return { refusal: null, warnings: [] };
  }
  const warnings: string[] = [];
  const refuses = status === undefined || (status >= 400 && status <= 599);
  if (!refuses) warnings.push(`http_status ${status} is not sent, ${STATUS} is`);
  const sent = headers.filter(([name, value], at) => {
    const fits = at < HEADERS_MAX && isSent(headers, at, body !== '') && HEADER_VALUE.test(value);
    if (!fits) warnings.push(`header ${name.slice(0, NAME_SHOWN).toWellFormed()} is not sent`);
    return fits;
  });
  const text = cut(body);
  if (text.length < body.length) {
    warnings.push(`body is cut, it has more than ${REFUSAL_BODY_BYTES_MAX} bytes`);
  }
  const refusal = { status: refuses ? (status ?? STATUS) : STATUS, headers: sent, body: text };
  return { refusal, warnings };
}

/** There is one content-type, and only where there is content. */
function isSent(headers: RefusalWish['headers'], at: number, withBody: boolean): boolean {
  const name = headers[at]?.[0] ?? '';
  if (!HEADER_NAME.test(name) || NOT_SENT.test(name)) return false;
  if (name.toLowerCase() !== 'content-type') return true;
  return withBody && headers.findIndex(([one]) => one.toLowerCase() === 'content-type') === at;
}

/** Ends at a whole character. */
function cut(text: string): string {
  const whole = text.toWellFormed();
  const bytes = new Uint8Array(REFUSAL_BODY_BYTES_MAX);
  return whole.slice(0, new TextEncoder().encodeInto(whole, bytes).read);
}
