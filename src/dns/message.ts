/**
 * Messages of the DNS as they stand on the wire: one question in, one small answer out. The decoder takes any bytes,
 * never throws and reads each byte once; what RFC 1035 and RFC 6891 leave open it refuses. Nothing a query carries
 * comes back but its number, its question and two flags. Pure.
 */

/** Bytes of one query: the longest name (255), one EDNS record with a cookie and padding fit well. */
export const QUERY_BYTES_MAX = 512;
/** Bytes of any answer made here, so UDP always carries it and no answer is ever truncated. */
export const ANSWER_BYTES_MAX = 321;

export const TYPE = { A: 1, PTR: 12, AAAA: 28, SVCB: 64, HTTPS: 65 } as const;
export const CLASS_IN = 1;

export interface Query {
  readonly id: number;
  readonly recursionDesired: boolean;
  readonly checkingDisabled: boolean;
  /** Lower case, without the last dot; the root is empty. Bytes other than a-z 0-9 - _ stand as `\ddd`. */
  readonly name: string;
  readonly type: number;
  readonly class: number;
  /** Name, type and class as they came, spelling included, to be echoed. */
  readonly question: Uint8Array;
  /** Null without EDNS. */
  readonly edns: { readonly version: number } | null;
}

export type Decoded =
  | { readonly ok: true; readonly query: Query }
  /** `reply` says FORMERR or NOTIMP; null when there is nobody to tell, or when it is itself an answer. */
  | { readonly ok: false; readonly reply: Uint8Array | null };

export type Answer =
  | { readonly kind: 'address'; readonly address: Uint8Array; readonly ttlSeconds: number }
  /** The name exists and has nothing of this type. */
  | { readonly kind: 'no_data'; readonly ttlSeconds: number }
  /** The name does not exist. */
  | { readonly kind: 'no_name'; readonly ttlSeconds: number }
  | { readonly kind: 'refused' }
  | { readonly kind: 'bad_version' };

const HEADER_BYTES = 12;
const LABEL_BYTES_MAX = 63;
const NAME_BYTES_MAX = 255;
const TYPE_SOA = 6;
const TYPE_OPT = 41;
/** Of the UDP payload announced in answers (DNS Flag Day 2020). */
const PAYLOAD_BYTES = 1232;

const FLAG = {
  answer: 0x8000,
  opcode: 0x7800,
  recursionDesired: 0x0100,
  recursionAvailable: 0x0080,
  checkingDisabled: 0x0010,
  /** AA, TC, RA, Z and RCODE: they mean nothing in a query, and no resolver sets them. */
  answersOnly: 0x06cf,
};
const RCODE = { ok: 0, malformed: 1, noName: 3, notImplemented: 4, refused: 5, badVersion: 16 };

/**
 * Reads one query: exactly one question, opcode QUERY, no compression (a query has nothing to point to), labels of at
 * most 63 bytes, names of at most 255, at most one additional record, which is a well-formed OPT; no byte is left over.
 */
export function decodeQuery(bytes: Uint8Array): Decoded {
  if (bytes.length < HEADER_BYTES) return { ok: false, reply: null };
  const flags = u16(bytes, 2);
  // To answer an answer would let two servers talk to each other for ever.
  if ((flags & FLAG.answer) !== 0) return { ok: false, reply: null };
  const broken = (rcode: number): Decoded => ({ ok: false, reply: bare(bytes, flags, rcode) });
  if ((flags & FLAG.opcode) !== 0) return broken(RCODE.notImplemented);
  if (bytes.length > QUERY_BYTES_MAX || (flags & FLAG.answersOnly) !== 0) {
    return broken(RCODE.malformed);
  }
  const additional = u16(bytes, 10);
  if (u16(bytes, 4) !== 1 || u16(bytes, 6) !== 0 || u16(bytes, 8) !== 0 || additional > 1) {
    return broken(RCODE.malformed);
  }
  const name = readName(bytes, HEADER_BYTES);
  if (name === null || name.end + 4 > bytes.length) return broken(RCODE.malformed);
  const questionEnd = name.end + 4;
  const edns = additional === 1 ? readOpt(bytes, questionEnd) : null;
  if (edns === null ? additional === 1 || questionEnd !== bytes.length : false) {
    return broken(RCODE.malformed);
  }
  return {
    ok: true,
    query: {
      id: u16(bytes, 0),
      recursionDesired: (flags & FLAG.recursionDesired) !== 0,
      checkingDisabled: (flags & FLAG.checkingDisabled) !== 0,
      name: name.text,
      type: u16(bytes, name.end),
      class: u16(bytes, name.end + 2),
      question: bytes.slice(HEADER_BYTES, questionEnd),
      edns,
    },
  };
}

/** The name at `at`, which must be written out in full; null when it is not a name. */
function readName(bytes: Uint8Array, at: number): { text: string; end: number } | null {
  let text = '';
  let next = at;
  for (;;) {
    const length = bytes[next];
    // Two high bits make a pointer or a reserved kind of label.
    if (length === undefined || length > LABEL_BYTES_MAX) return null;
    next += 1;
    if (length === 0) return { text, end: next };
    // The label, and the byte that ends the name.
    if (next + length >= bytes.length || next + length + 1 - at > NAME_BYTES_MAX) return null;
    if (text !== '') text += '.';
    for (const end = next + length; next < end; next += 1) text += CHARACTERS[bytes[next] ?? 0];
  }
}

/** Each byte of a name as text that no other byte has, case aside. */
const CHARACTERS: readonly string[] = Array.from({ length: 256 }, (_, byte) => {
  const plain = String.fromCharCode(byte);
  if (/[A-Z]/.test(plain)) return plain.toLowerCase();
  return /[a-z0-9_-]/.test(plain) ? plain : `\\${String(byte).padStart(3, '0')}`;
});

/** The OPT record that fills the rest of the message; null when something else does. */
function readOpt(bytes: Uint8Array, at: number): { version: number } | null {
  const optionsAt = at + 11;
  if (optionsAt > bytes.length || bytes[at] !== 0 || u16(bytes, at + 1) !== TYPE_OPT) return null;
  if (optionsAt + u16(bytes, at + 9) !== bytes.length) return null;
  let next = optionsAt;
  while (next + 4 <= bytes.length) next += 4 + u16(bytes, next + 2);
  return next === bytes.length ? { version: bytes[at + 6] ?? 0 } : null;
}

/** A header that says only what was wrong: the rest of the message could not be read. */
function bare(bytes: Uint8Array, flags: number, rcode: number): Uint8Array {
  const reply = new Uint8Array(HEADER_BYTES);
  const echoed = flags & (FLAG.opcode | FLAG.recursionDesired | FLAG.checkingDisabled);
  put16(reply, 0, u16(bytes, 0));
  put16(reply, 2, FLAG.answer | FLAG.recursionAvailable | echoed | rcode);
  return reply;
}

/**
 * Writes an answer: at most one record, or the SOA record that lets "no" be kept (RFC 2308); an OPT record exactly when
 * the query had one, with the reason "blocked" (RFC 8914) beside a "no". At most 50 bytes longer than the query.
 */
export function encodeAnswer(query: Query, answer: Answer): Uint8Array {
  const record = recordOf(answer);
  const opt = query.edns === null ? NOTHING : optOf(answer);
  const reply = new Uint8Array(HEADER_BYTES + query.question.length + record.length + opt.length);
  put16(reply, 0, query.id);
  put16(
    reply,
    2,
    FLAG.answer |
      FLAG.recursionAvailable |
      (query.recursionDesired ? FLAG.recursionDesired : 0) |
      (query.checkingDisabled ? FLAG.checkingDisabled : 0) |
      (rcodeOf(answer) & 0xf),
  );
  put16(reply, 4, 1);
  if (record.length > 0) put16(reply, answer.kind === 'address' ? 6 : 8, 1);
  if (opt.length > 0) put16(reply, 10, 1);
  reply.set(query.question, HEADER_BYTES);
  reply.set(record, HEADER_BYTES + query.question.length);
  reply.set(opt, HEADER_BYTES + query.question.length + record.length);
  return reply;
}

const NOTHING = new Uint8Array(0);

function rcodeOf({ kind }: Answer): number {
  switch (kind) {
    case 'address':
    case 'no_data':
      return RCODE.ok;
    case 'no_name':
      return RCODE.noName;
    case 'refused':
      return RCODE.refused;
    case 'bad_version':
      return RCODE.badVersion;
  }
}

function recordOf(answer: Answer): Uint8Array {
  if (answer.kind === 'address') return addressRecord(answer.address, answer.ttlSeconds);
  if (answer.kind === 'no_data' || answer.kind === 'no_name') return soaRecord(answer.ttlSeconds);
  return NOTHING;
}

/** The owner is the name of the question, by a pointer to it. */
function addressRecord(address: Uint8Array, ttlSeconds: number): Uint8Array {
  const record = new Uint8Array(12 + address.length);
  put16(record, 0, 0xc000 | HEADER_BYTES);
  put16(record, 2, address.length === 4 ? TYPE.A : TYPE.AAAA);
  put16(record, 4, CLASS_IN);
  put32(record, 6, ttlSeconds);
  put16(record, 10, address.length);
  record.set(address, 12);
  return record;
}

/** Of the root, all of whose names this server knows. Time to live and minimum: how long "no" may be kept. */
function soaRecord(ttlSeconds: number): Uint8Array {
  const record = new Uint8Array(33);
  put16(record, 1, TYPE_SOA);
  put16(record, 3, CLASS_IN);
  put32(record, 5, ttlSeconds);
  put16(record, 9, 22);
  // Two root names at 11 and 12, then serial, refresh, retry, expire, minimum.
  put32(record, 13, 1);
  for (const at of [17, 21, 25, 29]) put32(record, at, ttlSeconds);
  return record;
}

const OPTION_EXTENDED_ERROR = 15;
const EXTENDED_ERROR_BLOCKED = 15;

function optOf(answer: Answer): Uint8Array {
  const said = answer.kind === 'no_name' || answer.kind === 'refused';
  const opt = new Uint8Array(said ? 17 : 11);
  put16(opt, 1, TYPE_OPT);
  put16(opt, 3, PAYLOAD_BYTES);
  opt[5] = rcodeOf(answer) >> 4;
  if (said) {
    put16(opt, 9, 6);
    put16(opt, 11, OPTION_EXTENDED_ERROR);
    put16(opt, 13, 2);
    put16(opt, 15, EXTENDED_ERROR_BLOCKED);
  }
  return opt;
}

const u16 = (bytes: Uint8Array, at: number) => ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);

function put16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 8;
  bytes[at + 1] = value & 0xff;
}

function put32(bytes: Uint8Array, at: number, value: number): void {
  put16(bytes, at, value >>> 16);
  put16(bytes, at + 2, value & 0xffff);
}
