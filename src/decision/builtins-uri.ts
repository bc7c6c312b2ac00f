/** Host builtins on URIs: uri.parse and uri.is_valid. Pure. */
import { type Builtin, ofText } from './builtin.ts';
import type { RegoValue } from './rego-value.ts';
import { PORT, parseUri } from './uri.ts';

const parse = ofText((text) => {
  const uri = parseUri(text);
  if (uri === null) return undefined;
  const colon = uri.host.lastIndexOf(':');
  const hasPort = colon !== -1 && PORT.test(uri.host.slice(colon));
  const host = hasPort ? uri.host.slice(0, colon) : uri.host;
  const parts: [string, string][] = [
    ['scheme', uri.scheme],
    ['hostname', /^\[.*\]$/.test(host) ? host.slice(1, -1) : host],
    ['port', hasPort ? uri.host.slice(colon + 1) : ''],
    ['path', uri.path],
    ['raw_path', uri.path === '' ? '' : uri.rawPath],
    ['raw_query', uri.query],
    ['fragment', uri.fragment],
  ];
  return new Map<RegoValue, RegoValue>(parts.filter(([, part]) => part !== ''));
});

export const URI_BUILTINS: Readonly<Record<string, Builtin>> = {
  'uri.parse': parse,
  'uri.is_valid': ([text]) => typeof text === 'string' && text !== '' && parseUri(text) !== null,
};
