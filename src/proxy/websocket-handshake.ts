/**
 * The opening handshake of a WebSocket (RFC 6455 section 4), both halves of it, with one reading each. The sidecar
 * shakes hands twice, once with the agent and once with the tool, each time with a key of that hop; of the handshake
 * only the offered subprotocols cross. Extensions are never offered, so none is ever in force. Pure.
 */
import { createHash } from 'node:crypto';
import { checkHeaders, type HeaderList } from '../call/headers.ts';
import { type Refused, refuse } from '../call/refused.ts';
import type { Incoming } from './exchange.ts';

/** What an agent asks for that may become a WebSocket. */
export interface Handshake {
  readonly ok: true;
  readonly key: string;
  /** Subprotocols in the agent's order. */
  readonly protocols: readonly string[];
}

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
/** 16 bytes in base64: the last character before the padding carries four bits. */
const KEY = /^[A-Za-z0-9+/]{21}[AQgw]==$/;
const TOKEN = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/;
const PROTOCOLS_MAX = 32;

const valuesOf = (headers: HeaderList, name: string): string[] =>
  headers.filter(([given]) => given.toLowerCase() === name).map(([, value]) => value);

const listed = (values: readonly string[]): string[] =>
  values.flatMap((value) => value.split(',')).map((item) => item.trim());

/** True for what is meant to be the opening of a WebSocket and has no body: everything else stays plain HTTP. */
export function opensWebSocket(method: string, headers: HeaderList): boolean {
  const upgrade = valuesOf(headers, 'upgrade');
  return (
    method === 'GET' &&
    upgrade.length === 1 &&
    upgrade[0]?.toLowerCase() === 'websocket' &&
    valuesOf(headers, 'content-length').length === 0 &&
    valuesOf(headers, 'transfer-encoding').length === 0
  );
}

/**
 * The rule for every request that is not the opening of a permitted WebSocket: no other protocol. `h2c` alone is
 * ignored, as RFC 9110 section 7.8 allows, because Java's client offers it with every request; it is never sent on.
 * @returns `call.upgrade_denied`, or null.
 */
export function checkNoUpgrade(headers: HeaderList): Refused | null {
  const other = valuesOf(headers, 'upgrade').find((value) => value.toLowerCase() !== 'h2c');
  return other === undefined
    ? null
    : refuse('call.upgrade_denied', 'another protocol is asked for');
}

/** @returns `call.bad_header`, `call.malformed`, `call.upgrade_denied` when it is no sound handshake. */
export function readHandshake(incoming: Incoming): Handshake | Refused {
  const { headers } = incoming;
  if (!opensWebSocket(incoming.method, headers)) {
    return refuse('call.upgrade_denied', 'not the opening of a WebSocket');
  }
  if (incoming.httpVersion !== '1.1') return refuse('call.malformed', 'a WebSocket in HTTP/1.0');
  const wrong = checkHeaders(headers);
  if (wrong !== null) return wrong;
  const connection = listed(valuesOf(headers, 'connection')).map((item) => item.toLowerCase());
  if (!connection.includes('upgrade')) return bad('connection does not name upgrade');
  const [version, ...versions] = valuesOf(headers, 'sec-websocket-version');
  if (version !== '13' || versions.length > 0) return bad('a WebSocket version other than 13');
  const [key, ...keys] = valuesOf(headers, 'sec-websocket-key');
  if (key === undefined || keys.length > 0 || !KEY.test(key)) {
    return bad('a WebSocket key that is not 16 bytes in base64');
  }
  if (valuesOf(headers, 'expect').length > 0) return bad('an expectation in a WebSocket handshake');
  const protocols = listed(valuesOf(headers, 'sec-websocket-protocol'));
  const sound = protocols.every((name) => TOKEN.test(name));
  if (!sound || protocols.length > PROTOCOLS_MAX || new Set(protocols).size < protocols.length) {
    return bad('WebSocket subprotocols that are no tokens, repeated, or too many');
  }
  return { ok: true, key, protocols };
}

const bad = (detail: string) => refuse('call.bad_header', detail);

const ofHandshake = (name: string): boolean =>
  /^(upgrade|connection|sec-websocket-.*)$/i.test(name);

/** The rest of the list: neither the handshake nor what only serves it. */
export const withoutHandshake = (headers: HeaderList): HeaderList =>
  headers.filter(([name]) => !ofHandshake(name));

/** The agent's request as the plain GET it also is. `Connection` stays: what it names must not cross. */
export const plainRequest = (incoming: Incoming): Incoming => ({
  ...incoming,
  headers: incoming.headers.filter(
    ([name]) => !ofHandshake(name) || name.toLowerCase() === 'connection',
  ),
});

/** @returns what `Sec-WebSocket-Accept` must be for a key. */
export const acceptFor = (key: string): string =>
  createHash('sha1').update(`${key}${GUID}`).digest('base64');

/** The headers toward the tool, besides `Upgrade` and `Connection`, which the client of the wire writes. */
export function requestHeaders(headers: HeaderList, key: string, protocols: readonly string[]) {
  const list: [string, string][] = [...withoutHandshake(headers)].map(([name, value]) => [
    name,
    value,
  ]);
  list.push(['sec-websocket-version', '13'], ['sec-websocket-key', key]);
  if (protocols.length > 0) list.push(['sec-websocket-protocol', protocols.join(', ')]);
  return list;
}

export type Switched = { readonly ok: true; readonly protocol: string | null } | Refused;

/** Checks the tool's 101. @returns `upstream.bad_response` unless it agrees to exactly what was offered. */
export function checkSwitch(
  headers: HeaderList,
  offered: { readonly key: string; readonly protocols: readonly string[] },
): Switched {
  const upgrade = valuesOf(headers, 'upgrade');
  if (upgrade.length !== 1 || upgrade[0]?.toLowerCase() !== 'websocket') {
    return wrong('it switches to another protocol');
  }
  const connection = listed(valuesOf(headers, 'connection')).map((item) => item.toLowerCase());
  if (!connection.includes('upgrade')) return wrong('connection does not name upgrade');
  const accept = valuesOf(headers, 'sec-websocket-accept');
  if (accept.length !== 1 || accept[0] !== acceptFor(offered.key)) {
    return wrong('it answers another handshake');
  }
  if (valuesOf(headers, 'sec-websocket-extensions').length > 0) {
    return wrong('an extension that was not offered');
  }
  const [protocol = null, ...more] = valuesOf(headers, 'sec-websocket-protocol');
  if (more.length > 0 || (protocol !== null && !offered.protocols.includes(protocol))) {
    return wrong('a subprotocol that was not offered');
  }
  return { ok: true, protocol };
}

const wrong = (detail: string) => refuse('upstream.bad_response', detail);

/** The 101 toward the agent, as bytes. @param passed checked headers of the tool's answer and our own. */
export function renderSwitch(
  handshake: Handshake,
  protocol: string | null,
  passed: HeaderList,
): Uint8Array {
  const lines = [
    'HTTP/1.1 101 Switching Protocols',
    'upgrade: websocket',
    'connection: Upgrade',
    `sec-websocket-accept: ${acceptFor(handshake.key)}`,
    ...(protocol === null ? [] : [`sec-websocket-protocol: ${protocol}`]),
    ...withoutHandshake(passed)
      .filter(([name]) => !/^(content-length|transfer-encoding)$/i.test(name))
      .map(([name, value]) => `${name}: ${value}`),
  ];
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
}
