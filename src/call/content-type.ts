/**
 * Media type and parameters, for Content-Type and Content-Disposition in HTTP and mail (RFC 9110,
 * RFC 2045). A value has one reading or none: no comments, no repeated parameter, nothing after a
 * closing quote. Pure.
 */

export interface ContentType {
  /** Lower case: `application/json`, or `attachment` for a disposition. */
  readonly value: string;
  /** Lower-case names, values as written, no prototype. */
  readonly parameters: Readonly<Record<string, string>>;
}

const VALUE = /^[A-Za-z0-9!#$&^_.+-]+(\/[A-Za-z0-9!#$&^_.+-]+)?/;
const PARAMETER =
  /[ \t]*;[ \t]*([A-Za-z0-9!#$&^_.+*-]+)=(?:([^\s";,\\()<>@:[\]?=]+|=\?[^\s";\\]+\?=)|"((?:[^"\\]|\\["\\])*)")/y;

/** @returns null when the text is malformed. A single trailing `;` is tolerated. */
export function parseContentType(text: string): ContentType | null {
  const value = VALUE.exec(text)?.[0];
  if (value === undefined) return null;
  const parameters: Record<string, string> = Object.create(null);
  PARAMETER.lastIndex = value.length;
  let end = value.length;
  for (let found = PARAMETER.exec(text); found !== null; found = PARAMETER.exec(text)) {
    const name = (found[1] ?? '').toLowerCase();
    if (Object.hasOwn(parameters, name)) return null;
    parameters[name] = found[2] ?? (found[3] ?? '').replace(/\\(["\\])/g, '$1');
    end = PARAMETER.lastIndex;
  }
  const rest = text.slice(end).trim();
  return rest === '' || rest === ';' ? { value: value.toLowerCase(), parameters } : null;
}

/** True when the charset parameter is absent or names UTF-8. */
export const isUtf8 = (type: ContentType): boolean =>
  ['utf-8', 'utf8'].includes(type.parameters['charset']?.toLowerCase() ?? 'utf-8');
