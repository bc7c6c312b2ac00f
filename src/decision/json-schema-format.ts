/**
 * The formats that a JSON Schema can name for strings, as OPA's library checks them. A format that is not known
 * fits. Pure.
 */
import { parseTime } from './go-time-layout.ts';
import { parseIp } from './ip-network.ts';
import { compileRegex } from './linear-regex.ts';
import { parseUri } from './uri.ts';

const HOSTNAME =
  /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/i;
const UUID = /^[a-f0-9]{8}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{12}$/i;
const POINTER = /^(?:\/(?:[^~/]|~[01])*)*$/;

type Check = (text: string, charge: (steps: number) => void) => boolean;

const inLayouts =
  (...layouts: readonly string[]): Check =>
  (text) =>
    layouts.some((layout) => parseTime(text, layout) !== null);

const isEmail: Check = (text) => /^[^\s@<>"(),:;[\]\\]+@[^\s@<>"(),:;\\]+$/.test(text);
const isIp =
  (bits: number): Check =>
  (text) =>
    parseIp(text) !== null && text.includes(':') === (bits === 128);

const CHECKS: Readonly<Record<string, Check>> = {
  date: inLayouts('2006-01-02'),
  time: inLayouts('15:04:05', '15:04:05Z07:00'),
  'date-time': inLayouts('15:04:05', '15:04:05Z07:00', '2006-01-02', '2006-01-02T15:04:05Z07:00'),
  email: isEmail,
  'idn-email': isEmail,
  hostname: (text) => text.length <= 255 && HOSTNAME.test(text),
  'idn-hostname': (text) => text !== '' && text.length <= 255,
  ipv4: isIp(32),
  ipv6: isIp(128),
  uri: (text) => !text.includes('\\') && (parseUri(text)?.scheme ?? '') !== '',
  'uri-reference': (text) => !text.includes('\\') && parseUri(text) !== null,
  iri: (text) => (parseUri(text)?.scheme ?? '') !== '',
  'iri-reference': (text) => parseUri(text) !== null,
  uuid: (text) => UUID.test(text),
  regex: (text, charge) => compileRegex(text, charge) !== null,
  'json-pointer': (text) => POINTER.test(text),
  'relative-json-pointer': (text) => /^(?:0|[1-9][0-9]*)(?:#|(?:\/(?:[^~/]|~[01])*)*)$/.test(text),
};

export function matchesFormat(
  format: string,
  text: string,
  charge: (steps: number) => void,
): boolean {
  const check = Object.hasOwn(CHECKS, format) ? CHECKS[format] : undefined;
  charge(text.length * 100);
  return check === undefined || check(text, charge);
}
