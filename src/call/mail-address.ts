/**
 * Addresses of a mail header (RFC 5322 section 3.4) or of a structured mail tool, as plain
 * lower-case `local@domain`. Only forms that every parser reads alike: no groups, comments, quoted
 * local parts, source routes, literals or folded tricks, and no display name that looks like a
 * second address. Also RFC 2047 encoded words. Pure.
 */

export const ADDRESSES_MAX = 500;

/** Without `%` and `!`, which relays used to read as routes. */
const ADDRESS =
  /^[a-z0-9#$&'*+/=?^_`{|}~-]+(\.[a-z0-9#$&'*+/=?^_`{|}~-]+)*@([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const ENCODED_WORD = /^=\?([A-Za-z0-9-]+)\?([BbQq])\?([^?\s]*)\?=$/;

/** Everything a header value may hold: no control characters but TAB. */
export const isHeaderText = (text: string): boolean =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  !/[\0-\x08\x0a-\x1f\x7f-\x9f]/.test(text);

/** @returns the addresses in order, or null when the list can be read in more than one way. */
export function parseAddressList(value: string): readonly string[] | null {
  if (!isHeaderText(value)) return null;
  if (value.trim() === '') return [];
  const items = splitAtCommas(value);
  if (items === null || items.length > ADDRESSES_MAX) return null;
  const addresses: string[] = [];
  for (const item of items) {
    const address = parseMailbox(item.trim());
    if (address === null) return null;
    addresses.push(address);
  }
  return addresses;
}

function splitAtCommas(value: string): string[] | null {
  const items: string[] = [];
  let start = 0;
  let quoted = false;
  for (let at = 0; at < value.length; at++) {
    const character = value[at] as string;
    if (character === '"') quoted = !quoted;
    else if (character === '\\') return null;
    else if (quoted ? '<>'.includes(character) : '():;[]'.includes(character)) return null;
    else if (character === ',' && !quoted) {
      items.push(value.slice(start, at));
      start = at + 1;
    }
  }
  return quoted ? null : [...items, value.slice(start)];
}

/** `address` or `name <address>`. */
function parseMailbox(item: string): string | null {
  const angled = /^([^<>]*)<([^<>]*)>$/.exec(item);
  const address = (angled?.[2] ?? item).toLowerCase();
  if (!isAddress(address)) return null;
  const name = angled?.[1]?.trim() ?? '';
  return name === '' || isHarmlessName(name, address) ? address : null;
}

function isAddress(text: string): boolean {
  const at = text.indexOf('@');
  const top = text.slice(Math.max(at, text.lastIndexOf('.')) + 1);
  const numericTop = /^[0-9]*$/.test(top);
  if (text.length > 254 || at > 64 || numericTop || text.includes('=?')) return false;
  return ADDRESS.test(text);
}

/** A display name may repeat its own address, but not hold another one. */
function isHarmlessName(name: string, address: string): boolean {
  const plain = decodeWords(name.replaceAll('"', ' ').trim());
  if (plain === null || /[<>]/.test(plain)) return false;
  const quotes = name.split('"').length - 1;
  const looksQuoted = quotes === 0 || (quotes === 2 && name.startsWith('"') && name.endsWith('"'));
  return looksQuoted && (!plain.includes('@') || plain.toLowerCase() === address);
}

/**
 * Decodes the RFC 2047 encoded words of a text; the rest stays as it is.
 * @returns null when something looks like an encoded word and is none, or decodes to a control
 * character.
 */
export function decodeWords(text: string): string | null {
  if (!text.includes('=?')) return text;
  let result = '';
  let gap = '';
  let afterWord = false;
  for (const token of text.split(/([ \t]+)/)) {
    if (/^[ \t]*$/.test(token)) {
      gap += token;
      continue;
    }
    const word = ENCODED_WORD.exec(token);
    if (word === null && token.includes('=?')) return null;
    const plain = word === null ? token : decodeWord(word[1] ?? '', word[2] ?? '', word[3] ?? '');
    if (plain === null || !isHeaderText(plain)) return null;
    result += (afterWord && word !== null ? '' : gap) + plain;
    gap = '';
    afterWord = word !== null;
  }
  return result + gap;
}

function decodeWord(charset: string, encoding: string, text: string): string | null {
  const bytes = encoding.toLowerCase() === 'b' ? base64Word(text) : quotedWord(text);
  return bytes === null ? null : decodeCharset(bytes, charset);
}

function base64Word(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : null;
}

function quotedWord(text: string): Buffer | null {
  if (!/^(?:[!-<>@-~]|=[0-9A-Fa-f]{2})*$/.test(text)) return null;
  const latin1 = text
    .replaceAll('_', ' ')
    .replace(/=(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(latin1, 'latin1');
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * UTF-8, US-ASCII or the printable part of ISO-8859-1; null for other charsets and for bytes that
 * do not fit.
 */
export function decodeCharset(bytes: Uint8Array, charset: string): string | null {
  const name = charset.toLowerCase();
  const latin1 = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  if (name === 'iso-8859-1') return /[\x80-\x9f]/.test(latin1) ? null : latin1;
  if (name === 'us-ascii') return /[\x80-\xff]/.test(latin1) ? null : latin1;
  if (name !== 'utf-8' && name !== 'utf8') return null;
  try {
    return utf8.decode(bytes);
  } catch {
    return null;
  }
}
