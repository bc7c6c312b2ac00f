/**
 * One parameter of a MIME header in any of its forms: plain, RFC 2231 extended (`name*=utf-8''…`)
 * or in numbered pieces (`name*0*=…; name*1=…`). Two forms at once, gaps and charsets other than
 * UTF-8 are refused. Pure.
 */

/** @returns undefined when absent, null when malformed or given in two forms. */
export function mailParameter(
  parameters: Readonly<Record<string, string>>,
  name: string,
): string | null | undefined {
  const forms = Object.keys(parameters).filter((key) => key === name || key.startsWith(`${name}*`));
  if (forms.length === 0) return undefined;
  if (forms.includes(name)) return forms.length === 1 ? (parameters[name] ?? null) : null;
  if (forms.length === 1 && forms[0] === `${name}*`) return extended(parameters[`${name}*`] ?? '');
  return pieces(parameters, name, forms.length);
}

function pieces(
  parameters: Readonly<Record<string, string>>,
  name: string,
  count: number,
): string | null {
  let encoded = '';
  let charset = false;
  for (let index = 0; index < count; index++) {
    const plain = parameters[`${name}*${index}`];
    const escaped = parameters[`${name}*${index}*`];
    if ((plain === undefined) === (escaped === undefined)) return null;
    if (index === 0) charset = escaped !== undefined;
    if (escaped !== undefined && !charset) return null;
    encoded += escaped ?? encodeURIComponent(plain ?? '');
  }
  return extended(charset ? encoded : `utf-8''${encoded}`);
}

/** `charset'language'percent-encoded` with UTF-8 as the only charset. */
function extended(text: string): string | null {
  const [, value] = /^utf-8'[A-Za-z0-9-]*'([^']*)$/i.exec(text) ?? [];
  if (value === undefined) return null;
  try {
    return decodeURIComponent(value);
  } catch {
    return null;
  }
}
