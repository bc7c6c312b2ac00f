/**
 * The first message of a TLS client, read from the bytes received so far (RFC 8446 section 4.1.2, RFC 6066 section 3,
 * RFC 7301, RFC 9849). It says where the connection is for before any key exists. All input is hostile: what can be
 * read in two ways is refused, nothing is repaired, and at most `HELLO_BYTES_MAX` bytes are looked at. Pure.
 */
import { parseAuthority } from '../call/authority.ts';
import { type Refused, refuse } from '../call/refused.ts';

export interface ClientHello {
  readonly ok: true;
  /** Lower case, a host name without a trailing dot and never an address; null when the client sent none. */
  readonly serverName: string | null;
  /** Protocols the client offers, best first; each byte a character (Latin-1). */
  readonly alpn: readonly string[];
  /**
   * The hello carries Encrypted Client Hello. Real and GREASE ones look alike (RFC 9849 section 6.2). Where TLS ends
   * here it means nothing: we have no key for it and `serverName` is used. Where bytes pass unread, a server
   * that has the key would obey a name nobody here has seen.
   */
  readonly encryptedHello: boolean;
}

/** More bytes are needed to tell. */
export interface Incomplete {
  readonly ok: 'more';
}

/** Bytes of records, headers included. Hellos with post-quantum shares have less than 3 KiB. */
export const HELLO_BYTES_MAX = 16 * 1024;

const RECORD_HEADER_BYTES = 5;
const HANDSHAKE_HEADER_BYTES = 4;
/** Clients use one, some that evade filters a handful; more would only cost time. */
const RECORDS_MAX = 64;
const RECORD_HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const SERVER_NAME = 0;
const ALPN = 16;
/** Encrypted Client Hello: RFC 9849, its drafts that were deployed, and its forerunner ESNI. */
const ENCRYPTED_HELLO: ReadonlySet<number> = new Set([
  0xfe08, 0xfe09, 0xfe0a, 0xfe0b, 0xfe0c, 0xfe0d, 0xffce,
]);

const MORE: Incomplete = { ok: 'more' };
const notTls = (detail: string) => refuse('call.not_tls', detail);
const TOO_LONG = notTls('a ClientHello longer than 16 KiB');

/**
 * Reads a ClientHello, which may be spread over several records.
 * @returns Incomplete while the answer is open; `call.not_tls` when the bytes can be no ClientHello or it is too long;
 * `call.bad_server_name` when its server name is not exactly one host name.
 */
export function parseClientHello(bytes: Uint8Array): ClientHello | Incomplete | Refused {
  const message = handshakeMessage(bytes);
  return message instanceof Uint8Array ? parseBody(message) : message;
}

/** The body of the handshake message, joined from its records. */
function handshakeMessage(bytes: Uint8Array): Uint8Array | Incomplete | Refused {
  const fragments: Uint8Array[] = [];
  let announced = 0;
  let at = 0;
  while (fragments.length < RECORDS_MAX) {
    if (at + RECORD_HEADER_BYTES >= HELLO_BYTES_MAX) return TOO_LONG;
    const length = recordHeader(bytes.subarray(at, at + RECORD_HEADER_BYTES));
    if (typeof length !== 'number') return length;
    const end = at + RECORD_HEADER_BYTES + length;
    if (end > HELLO_BYTES_MAX) return TOO_LONG;
    fragments.push(bytes.subarray(at + RECORD_HEADER_BYTES, end));
    announced += length;
    const header = messageHeader(fragments);
    if (header[0] !== undefined && header[0] !== CLIENT_HELLO) return notTls('no ClientHello');
    const expected = messageBytes(header);
    if (expected !== null && expected > HELLO_BYTES_MAX) return TOO_LONG;
    if (expected !== null && announced > expected)
      return notTls('bytes after the ClientHello in its record');
    if (bytes.length < end) return MORE;
    if (announced === expected) return Buffer.concat(fragments).subarray(HANDSHAKE_HEADER_BYTES);
    at = end;
  }
  return notTls('a ClientHello in too many records');
}

function messageHeader(fragments: readonly Uint8Array[]): readonly number[] {
  const header: number[] = [];
  for (const fragment of fragments) {
    header.push(...fragment.subarray(0, HANDSHAKE_HEADER_BYTES - header.length));
    if (header.length === HANDSHAKE_HEADER_BYTES) break;
  }
  return header;
}

/** @returns bytes of the message, its header included; null while the header is not whole. */
function messageBytes([, high, middle, low]: readonly number[]): number | null {
  if (high === undefined || middle === undefined || low === undefined) return null;
  return HANDSHAKE_HEADER_BYTES + high * 65_536 + middle * 256 + low;
}

/** @returns bytes of the fragment that follows. */
function recordHeader(header: Uint8Array): number | Incomplete | Refused {
  const [type, major, , high, low] = header;
  if (type !== undefined && type !== RECORD_HANDSHAKE) return notTls('no handshake record');
  if (major !== undefined && major !== 3) return notTls('a record of another protocol version');
  if (high === undefined || low === undefined) return MORE;
  const length = high * 256 + low;
  return length === 0 ? notTls('an empty handshake record') : length;
}

function parseBody(body: Uint8Array): ClientHello | Refused {
  const reader = new Reader(body);
  const legacyVersion = reader.take(2);
  const random = reader.take(32);
  const sessionId = reader.vector(1, 0, 32);
  const cipherSuites = reader.vector(2, 2, 65_534);
  const compression = reader.vector(1, 1, 255);
  if (!legacyVersion || !random || !sessionId || !cipherSuites || !compression) {
    return notTls('a malformed ClientHello');
  }
  if (legacyVersion[0] !== 3 || cipherSuites.length % 2 === 1) {
    return notTls('a malformed ClientHello');
  }
  if (reader.done) return { ok: true, serverName: null, alpn: [], encryptedHello: false };
  const extensions = reader.vector(2, 0, 65_535);
  if (!extensions || !reader.done) return notTls('malformed extensions');
  return parseExtensions(extensions);
}

function parseExtensions(bytes: Uint8Array): ClientHello | Refused {
  const seen = new Set<number>();
  const reader = new Reader(bytes);
  let serverName: string | null = null;
  let alpn: readonly string[] = [];
  let encryptedHello = false;
  while (!reader.done) {
    const type = reader.number(2);
    const data = reader.vector(2, 0, 65_535);
    if (type === null || !data) return notTls('malformed extensions');
    if (seen.has(type)) return notTls('an extension that occurs twice');
    seen.add(type);
    if (type === SERVER_NAME) {
      const name = parseServerName(data);
      if (typeof name !== 'string') return name;
      serverName = name;
    }
    if (type === ALPN) {
      const protocols = parseAlpn(data);
      if (protocols === null) return notTls('a malformed list of protocols');
      alpn = protocols;
    }
    if (ENCRYPTED_HELLO.has(type)) encryptedHello = true;
  }
  return { ok: true, serverName, alpn, encryptedHello };
}

/**
 * Exactly one name of type host_name. The wire form admits more and servers choose differently among them; the same
 * goes for a trailing dot, which the specification forbids and some servers treat as another host.
 */
function parseServerName(data: Uint8Array): string | Refused {
  const outer = new Reader(data);
  const list = outer.vector(2, 1, 65_535);
  if (!list || !outer.done) return notTls('a malformed server name');
  const reader = new Reader(list);
  const type = reader.number(1);
  const name = reader.vector(2, 1, 65_535);
  if (type !== 0 || !name || !reader.done) {
    return refuse('call.bad_server_name', 'not exactly one server name of type host_name');
  }
  // ASCII upper case only: what lies beyond is refused below.
  const lower = latin1(name).replace(/[A-Z]+/g, (upper) => upper.toLowerCase());
  const place = parseAuthority(lower, 443);
  if (!place.ok || place.kind !== 'name' || place.host !== lower) {
    return refuse('call.bad_server_name', 'the TLS server name is not a host name');
  }
  return lower;
}

function parseAlpn(data: Uint8Array): string[] | null {
  const outer = new Reader(data);
  const list = outer.vector(2, 2, 65_535);
  if (!list || !outer.done) return null;
  const reader = new Reader(list);
  const protocols: string[] = [];
  while (!reader.done) {
    const protocol = reader.vector(1, 1, 255);
    if (!protocol) return null;
    protocols.push(latin1(protocol));
  }
  return protocols;
}

const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1');

/** A cursor over bytes; null means that they do not hold what was asked for. */
class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#at === this.#bytes.length;
  }

  take(length: number): Uint8Array | null {
    if (this.#at + length > this.#bytes.length) return null;
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  number(bytes: 1 | 2): number | null {
    return this.take(bytes)?.reduce((value, byte) => value * 256 + byte, 0) ?? null;
  }

  /** A vector with a length prefix of `prefix` bytes, from `min` to `max` bytes long. */
  vector(prefix: 1 | 2, min: number, max: number): Uint8Array | null {
    const length = this.number(prefix);
    return length === null || length < min || length > max ? null : this.take(length);
  }
}
