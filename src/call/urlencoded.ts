/**
 * Percent-encoded names and values, as in a query or an `application/x-www-form-urlencoded` body.
 * Every value of a name is kept in order, so a tool that takes the first and one that takes the
 * last see nothing policy did not. Broken escapes, bytes that are not UTF-8, NUL and the old `;`
 * separator are refused, never repaired. Pure.
 */

/** More parameters than this is not a tool call. */
export const PARAMETERS_MAX = 1_000;

export type Parameters = Readonly<Record<string, readonly string[]>>;
export type ParsedParameters =
  | { readonly ok: true; readonly parameters: Parameters }
  | { readonly ok: false; readonly detail: string };

/**
 * Anything but visible ASCII, and what a URL parser would cut at, fold or drop: `"`, `#`, `;`, `<`,
 * `>`, `\`.
 */
const NOT_PLAIN = /[^!$-:=?-[\]-~]/;

/** @returns a map without prototype; not ok when the text can be read in more than one way. */
export function parseUrlEncoded(text: string): ParsedParameters {
  if (NOT_PLAIN.test(text))
    return { ok: false, detail: 'a character that must be percent-encoded' };
  const parameters: Record<string, string[]> = Object.create(null);
  let count = 0;
  for (const pair of text.split('&')) {
    if (pair === '') continue;
    if (++count > PARAMETERS_MAX) return { ok: false, detail: `more than ${PARAMETERS_MAX} pairs` };
    const equals = pair.indexOf('=');
    const name = decoded(equals === -1 ? pair : pair.slice(0, equals));
    const value = equals === -1 ? '' : decoded(pair.slice(equals + 1));
    if (name === null || value === null) {
      return { ok: false, detail: 'a broken percent escape, NUL or bytes that are not UTF-8' };
    }
    const values = parameters[name];
    if (values === undefined) parameters[name] = [value];
    else values.push(value);
  }
  return { ok: true, parameters };
}

function decoded(text: string): string | null {
  try {
    const plain = decodeURIComponent(text.replaceAll('+', ' '));
    return plain.includes('\0') ? null : plain;
  } catch {
    return null;
  }
}
