/**
 * URIs as Go's net/url splits them. That is on purpose not what a browser does: nothing is normalised. Pure.
 */
import { parseIp } from './ip-network.ts';

export interface Uri {
  scheme: string;
  host: string;
  path: string;
  rawPath: string;
  query: string;
  fragment: string;
}

/** Null when the text is no URI. */
export function parseUri(text: string): Uri | null {
  const [withoutFragment, rawFragment] = cut(text, '#');
  const fragment = unescaped(rawFragment);
  const uri: Uri = { scheme: '', host: '', path: '', rawPath: '', query: '', fragment: '' };
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones that are refused
  if (fragment === null || /[\x00-\x1f\x7f]/.test(withoutFragment)) return null;
  uri.fragment = fragment;
  if (withoutFragment === '*') return { ...uri, path: '*', rawPath: '*' };
  if (withoutFragment.startsWith(':')) return null;
  const scheme = /^([a-zA-Z][a-zA-Z0-9+.-]*):/.exec(withoutFragment)?.[1] ?? '';
  const afterScheme = scheme === '' ? withoutFragment : withoutFragment.slice(scheme.length + 1);
  uri.scheme = scheme.toLowerCase();
  let rest: string;
  [rest, uri.query] = cut(afterScheme, '?');
  if (!rest.startsWith('/')) {
    if (scheme !== '') return uri; // opaque, like mailto:
    if (cut(rest, '/')[0].includes(':')) return null;
  }
  if (rest.startsWith('//') && (scheme !== '' || !rest.startsWith('///'))) {
    const slash = rest.indexOf('/', 2);
    const host = parseAuthority(rest.slice(2, slash === -1 ? undefined : slash));
    if (host === null) return null;
    uri.host = host;
    rest = slash === -1 ? '' : rest.slice(slash);
  }
  const path = unescaped(rest);
  if (path === null) return null;
  uri.path = path;
  uri.rawPath = escapedPath(path) === rest ? path : rest;
  return uri;
}

function cut(text: string, separator: string): readonly [string, string] {
  const at = text.indexOf(separator);
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + separator.length)];
}

/** Null when a `%` is not followed by two hex digits. Bytes that are not UTF-8 become U+FFFD. */
function unescaped(text: string): string | null {
  if (/%(?![0-9a-fA-F]{2})/.test(text)) return null;
  return text.replace(/(?:%[0-9a-fA-F]{2})+/g, (run) =>
    Buffer.from(run.replaceAll('%', ''), 'hex').toString(),
  );
}

/** How Go would write the path. */
const escapedPath = (path: string) =>
  path.replace(/[^A-Za-z0-9\-_.~$&+,/:;=@]/gu, (character) =>
    Buffer.from(character).toString('hex').toUpperCase().replace(/../g, '%$&'),
  );

/** Only the host and port are wanted, but all of it must be valid. */
function parseAuthority(authority: string): string | null {
  const at = authority.lastIndexOf('@');
  const user = at === -1 ? '' : authority.slice(0, at);
  if (!/^[A-Za-z0-9\-._:~!$&'()*+,;=%@]*$/.test(user) || unescaped(user) === null) return null;
  const host = authority.slice(at + 1);
  return host.includes('[') ? parseLiteral(host) : parseName(host);
}

/** A colon with digits, or nothing. */
export const PORT = /^(?::[0-9]*)?$/;

/** `[IPv6]:port`, with `%25zone` inside. */
function parseLiteral(host: string): string | null {
  const close = host.lastIndexOf(']');
  if (host.lastIndexOf('[') > 0 || close === -1 || !PORT.test(host.slice(close + 1))) return null;
  const [address, rawZone] = cut(host.slice(1, close), '%25');
  const zone = unescapedZone(rawZone);
  const hasZone = address.length < close - 1;
  if (!address.includes(':') || parseIp(address) === null) return null;
  if (hasZone && (zone === null || zone === '')) return null;
  return `[${address}${hasZone ? `%${zone}` : ''}]${host.slice(close + 1)}`;
}

function unescapedZone(zone: string): string | null {
  const plain = unescaped(zone);
  return plain !== null && HOST_CHARACTERS.test(plain.replaceAll(/[ %]/g, '')) ? plain : null;
}

const HOST_CHARACTERS = /^[A-Za-z0-9\-_.~!$&'()*+,;=:[\]<>"\u0080-\u{10ffff}]*$/u;

function parseName(host: string): string | null {
  const colon = host.lastIndexOf(':');
  if (colon !== -1 && !PORT.test(host.slice(colon))) return null;
  // Only bytes beyond ASCII may be escaped here, and the percent sign itself.
  if (/%(?!25|[89a-fA-F])/.test(host)) return null;
  if (!HOST_CHARACTERS.test(host.replaceAll('%', ''))) return null;
  return unescaped(host);
}
