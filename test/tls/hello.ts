// ClientHellos made byte by byte, well formed or not, and a dumb reader of whole ones to compare with.
const u8 = (value: number) => Buffer.of(value & 0xff);
const u16 = (value: number) => Buffer.of((value >> 8) & 0xff, value & 0xff);
const u24 = (value: number) => Buffer.concat([u8(value >> 16), u16(value)]);
export const vector8 = (bytes: Uint8Array) => Buffer.concat([u8(bytes.length), bytes]);
export const vector16 = (bytes: Uint8Array) => Buffer.concat([u16(bytes.length), bytes]);

export interface Extension {
  readonly type: number;
  readonly data: Uint8Array;
}

export const hostName = (name: string | Uint8Array, type = 0) =>
  Buffer.concat([
    u8(type),
    vector16(typeof name === 'string' ? Buffer.from(name, 'latin1') : name),
  ]);

export const serverName = (...entries: readonly Uint8Array[]): Extension => ({
  type: 0,
  data: vector16(Buffer.concat(entries)),
});

export const alpn = (...protocols: readonly string[]): Extension => ({
  type: 16,
  data: vector16(
    Buffer.concat(protocols.map((protocol) => vector8(Buffer.from(protocol, 'latin1')))),
  ),
});

/** The body; `extensions` null leaves the block out, as TLS 1.2 allows. */
export function helloBody(
  extensions: readonly Extension[] | null,
  { sessionId = Buffer.alloc(32, 7), ciphers = Buffer.from('13011302', 'hex') } = {},
): Buffer {
  const block = extensions?.map(({ type, data }) => Buffer.concat([u16(type), vector16(data)]));
  return Buffer.concat([
    u16(0x0303),
    Buffer.alloc(32, 9),
    vector8(sessionId),
    vector16(ciphers),
    vector8(Buffer.of(0)),
    block === undefined ? Buffer.alloc(0) : vector16(Buffer.concat(block)),
  ]);
}

export const handshake = (body: Uint8Array, type = 1) =>
  Buffer.concat([u8(type), u24(body.length), body]);

export const record = (fragment: Uint8Array, type = 22) =>
  Buffer.concat([u8(type), u16(0x0301), vector16(fragment)]);

/** One record for each piece; `cuts` are positions in the message. */
export function records(message: Uint8Array, cuts: readonly number[] = []): Buffer {
  const at = [0, ...new Set(cuts.filter((cut) => cut > 0 && cut < message.length))].toSorted(
    (a, b) => a - b,
  );
  const pieces = at.map((start, index) => message.subarray(start, at[index + 1]));
  return Buffer.concat(pieces.map((piece) => record(piece)));
}

export const hello = (...extensions: readonly Extension[]) =>
  records(handshake(helloBody(extensions)));

/** What a whole, well-formed hello in records says, found by walking it without any check. */
export function dumbRead(bytes: Buffer): { name: string | null; alpn: string[]; types: number[] } {
  let message = Buffer.alloc(0);
  for (let at = 0; at < bytes.length; at += 5 + bytes.readUInt16BE(at + 3)) {
    message = Buffer.concat([message, bytes.subarray(at + 5, at + 5 + bytes.readUInt16BE(at + 3))]);
  }
  let at = 4 + 2 + 32;
  at += 1 + message.readUInt8(at);
  at += 2 + message.readUInt16BE(at);
  at += 1 + message.readUInt8(at);
  const found = { name: null as string | null, alpn: [] as string[], types: [] as number[] };
  for (at += 2; at < message.length; ) {
    const type = message.readUInt16BE(at);
    const data = message.subarray(at + 4, at + 4 + message.readUInt16BE(at + 2));
    found.types.push(type);
    if (type === 0) found.name = data.subarray(5).toString('latin1').toLowerCase();
    if (type === 16) {
      for (let p = 2; p < data.length; p += 1 + data.readUInt8(p)) {
        found.alpn.push(data.subarray(p + 1, p + 1 + data.readUInt8(p)).toString('latin1'));
      }
    }
    at += 4 + data.length;
  }
  return found;
}
