/**
 * Strict base64 (RFC 4648): the standard or the URL alphabet, not a mix of both; padding right or
 * absent; no other character; unused bits zero. So one text names one byte string, in every
 * decoder. Pure.
 */

const NOT_STANDARD = /[^A-Za-z0-9+/]/;
const NOT_URL_SAFE = /[^A-Za-z0-9_-]/;

/** @returns the bytes, or null when the text is not one strict base64 string. */
export function strictBase64(text: string): Uint8Array | null {
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const digits = text.slice(0, text.length - padding);
  if (NOT_STANDARD.test(digits) && NOT_URL_SAFE.test(digits)) return null;
  if (digits.length % 4 === 1 || (padding > 0 && text.length % 4 !== 0)) return null;
  const bytes = Buffer.from(digits, 'base64');
  const encoded = bytes.toString('base64url');
  return encoded === digits.replaceAll('+', '-').replaceAll('/', '_') ? bytes : null;
}
