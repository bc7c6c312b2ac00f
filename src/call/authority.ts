/**
 * Host and port as text, from a CONNECT line, a Host header or an absolute URL: one spelling per
 * destination, or a refusal. Resolvers and URL parsers read `0x7f.1`, `2130706433`, full-width
 * digits or `127.1` as addresses; here only the canonical dotted quad is one. Names are ASCII
 * letters, digits and hyphens, other scripts only as A-labels (RFC 5890); nothing is repaired. Pure.
 */
import { domainToASCII, domainToUnicode } from 'node:url';
import type { Refused } from './refused.ts';
import { refuse } from './refused.ts';

export interface Authority {
  readonly ok: true;
  readonly kind: 'name' | 'ipv4' | 'ipv6';
  /**
   * Lower case, without a trailing dot; an IPv6 address without brackets in the form of RFC 5952,
   * all hexadecimal.
   */
  readonly host: string;
  readonly port: number;
}

const PORT = /^[1-9][0-9]{0,4}$/;
const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const QUAD = /^(0|[1-9][0-9]{0,2})(\.(0|[1-9][0-9]{0,2})){3}$/;
/** A last label that some resolver would take for a number. */
const NUMERIC = /^([0-9]+|0x[0-9a-f]*)$/;

/**
 * Parses `host`, `host:port`, `[v6]` or `[v6]:port`.
 * @param defaultPort port when none is written; null refuses a text without one (CONNECT).
 * @returns `call.bad_authority` when not ok.
 */
export function parseAuthority(text: string, defaultPort: number | null): Authority | Refused {
  const split = text.startsWith('[')
    ? /^\[([^\]]*)\](?::(.*))?$/s.exec(text)
    : /^([^:]*)(?::(.*))?$/s.exec(text);
  if (split === null) return refuse('call.bad_authority', 'not host or host:port');
  const [, hostText = '', portText] = split;
  const port = portText === undefined ? defaultPort : parsePort(portText);
  if (port === null) return refuse('call.bad_authority', 'no decimal port from 1 to 65535');
  const host = text.startsWith('[') ? ipv6Host(hostText) : namedHost(hostText);
  return host.ok ? { ...host, port } : host;
}

/** True when both name the same host and port; both must come from parseAuthority. */
export const sameAuthority = (a: Authority, b: Authority): boolean =>
  a.host === b.host && a.port === b.port;

function parsePort(text: string): number | null {
  const port = PORT.test(text) ? Number(text) : 0;
  return port >= 1 && port <= 65_535 ? port : null;
}

type Host = Omit<Authority, 'port'>;

function namedHost(text: string): Host | Refused {
  const host = (text.endsWith('.') ? text.slice(0, -1) : text).replace(/[A-Z]+/g, (upper) =>
    upper.toLowerCase(),
  );
  if (host.length === 0 || host.length > 253) {
    return refuse('call.bad_authority', 'host is empty or longer than 253 characters');
  }
  const labels = host.split('.');
  if (!labels.every((label) => LABEL.test(label))) {
    return refuse('call.bad_authority', 'host is not made of letters, digits and hyphens');
  }
  if (!labels.every((label) => !label.startsWith('xn--') || isPlainALabel(label))) {
    return refuse('call.bad_authority', 'host has an A-label that is none, or that mixes scripts');
  }
  if (!NUMERIC.test(labels.at(-1) ?? '')) return { ok: true, kind: 'name', host };
  const canonical = QUAD.test(host) && labels.every((octet) => Number(octet) <= 255);
  if (!canonical || text.endsWith('.')) {
    return refuse('call.bad_authority', 'an IPv4 address must be a canonical dotted quad');
  }
  return { ok: true, kind: 'ipv4', host };
}

/** Scripts with letters that look like Latin ones. */
const LOOK_ALIKE =
  /\p{Script=Cyrillic}|\p{Script=Greek}|\p{Script=Coptic}|\p{Script=Armenian}|\p{Script=Cherokee}/u;

/** An A-label that decodes, encodes back to itself, and holds no look-alikes among Latin letters. */
function isPlainALabel(label: string): boolean {
  const decoded = domainToUnicode(label);
  if (decoded === label || domainToASCII(decoded) !== label) return false;
  return !(/\p{Script=Latin}/u.test(decoded) && LOOK_ALIKE.test(decoded));
}

function ipv6Host(text: string): Host | Refused {
  const groups = ipv6Groups(text);
  if (groups === null) return refuse('call.bad_authority', 'no IPv6 address between the brackets');
  return { ok: true, kind: 'ipv6', host: renderIpv6(groups) };
}

/** The eight groups of an IPv6 text (RFC 4291 section 2.2), or null. No zone, no prefix length. */
function ipv6Groups(text: string): number[] | null {
  if (text.length > 45 || !/^[0-9a-fA-F:.]+$/.test(text)) return null;
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const [head = '', tail] = halves;
  const left = groupsOf(head, tail === undefined);
  const right = tail === undefined ? [] : groupsOf(tail, true);
  if (left === null || right === null) return null;
  const missing = 8 - left.length - right.length;
  if (tail === undefined) return missing === 0 ? left : null;
  return missing >= 1 ? [...left, ...new Array<number>(missing).fill(0), ...right] : null;
}

/** Groups of one side of `::`; only the last one of the address may be a dotted quad. */
function groupsOf(text: string, mayEndInQuad: boolean): number[] | null {
  if (text === '') return [];
  const parts = text.split(':');
  const groups: number[] = [];
  for (const [index, part] of parts.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      groups.push(Number.parseInt(part, 16));
      continue;
    }
    const octets = part.split('.').map(Number);
    const last = index === parts.length - 1 && mayEndInQuad;
    if (!last || !QUAD.test(part) || octets.some((octet) => octet > 255)) return null;
    const [a = 0, b = 0, c = 0, d = 0] = octets;
    groups.push(a * 256 + b, c * 256 + d);
  }
  return groups;
}

/**
 * RFC 5952: lower case, no leading zeros, the first longest run of at least two zero groups as
 * `::`.
 */
function renderIpv6(groups: readonly number[]): string {
  let best = { start: -1, length: 1 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  const hex = groups.map((group) => group.toString(16));
  if (best.start === -1) return hex.join(':');
  return `${hex.slice(0, best.start).join(':')}::${hex.slice(best.start + best.length).join(':')}`;
}
