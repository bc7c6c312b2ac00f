/** Messages of the DNS for tests: a writer that can write anything, and a plain reader of answers. */
import assert from 'node:assert/strict';

export const A = 1;
export const NS = 2;
export const NULL = 10;
export const PTR = 12;
export const TXT = 16;
export const AAAA = 28;
export const SVCB = 64;
export const HTTPS = 65;
export const ANY = 255;

export interface Question {
  readonly name: string;
  readonly type?: number;
  readonly class?: number;
  readonly id?: number;
  readonly flags?: number;
  /** Counts of the header: questions, answers, authorities, additional. */
  readonly counts?: readonly [number, number, number, number];
  /** Bytes behind the question. */
  readonly behind?: Uint8Array;
}

/** A query as resolvers write it, but for what is asked to be different. */
export function queryBytes(question: Question): Buffer {
  const { name, type = A, flags = 0x0100, id = 0x1234, behind = Buffer.alloc(0) } = question;
  const header = Buffer.alloc(12);
  const counts = question.counts ?? [1, 0, 0, behind.length > 0 ? 1 : 0];
  for (const [at, value] of [id, flags, ...counts].entries()) header.writeUInt16BE(value, at * 2);
  const tail = Buffer.alloc(4);
  tail.writeUInt16BE(type, 0);
  tail.writeUInt16BE(question.class ?? 1, 2);
  return Buffer.concat([header, nameBytes(name), tail, behind]);
}

/** Labels of any length and any bytes (Latin-1); the empty text is the root. */
export function nameBytes(name: string): Buffer {
  const labels = name === '' ? [] : name.split('.').map((label) => Buffer.from(label, 'latin1'));
  const parts = labels.flatMap((label) => [Buffer.of(label.length), label]);
  return Buffer.concat([...parts, Buffer.of(0)]);
}

/** An OPT record. */
export function optBytes(
  options: Buffer = Buffer.alloc(0),
  { version = 0, payload = 1232, type = 41, length = options.length } = {},
): Buffer {
  const record = Buffer.alloc(11);
  record.writeUInt16BE(type, 1);
  record.writeUInt16BE(payload, 3);
  record[6] = version;
  record.writeUInt16BE(length, 9);
  return Buffer.concat([record, options]);
}

export interface ResourceRecord {
  readonly owner: string;
  readonly type: number;
  readonly class: number;
  readonly ttl: number;
  readonly data: Buffer;
}

export interface Reply {
  readonly id: number;
  readonly flags: number;
  readonly rcode: number;
  /** The question as it stands in the reply; null without one. */
  readonly question: {
    readonly name: string;
    readonly type: number;
    readonly class: number;
  } | null;
  readonly answers: readonly ResourceRecord[];
  readonly authorities: readonly ResourceRecord[];
  readonly additional: readonly ResourceRecord[];
}

/** Reads a whole reply; a byte too many or too few fails the test. */
export function readReply(bytes: Uint8Array): Reply {
  const all = Buffer.from(bytes);
  let at = 12;
  const name = (from: number): { text: string; end: number } => {
    const labels: string[] = [];
    let next = from;
    while ((all[next] ?? 0) !== 0) {
      const length = all.readUInt8(next);
      if (length >= 0xc0) {
        const target = all.readUInt16BE(next) & 0x3fff;
        assert.ok(target < next, 'a pointer points back');
        labels.push(name(target).text);
        return { text: labels.join('.'), end: next + 2 };
      }
      labels.push(all.toString('latin1', next + 1, next + 1 + length));
      next += 1 + length;
    }
    all.readUInt8(next);
    return { text: labels.join('.'), end: next + 1 };
  };
  const record = (): ResourceRecord => {
    const { text, end } = name(at);
    const length = all.readUInt16BE(end + 8);
    at = end + 10 + length;
    assert.ok(at <= all.length, 'the record is whole');
    return {
      owner: text,
      type: all.readUInt16BE(end),
      class: all.readUInt16BE(end + 2),
      ttl: all.readUInt32BE(end + 4),
      data: all.subarray(end + 10, at),
    };
  };
  const [questions, ...counts] = [4, 6, 8, 10].map((offset) => all.readUInt16BE(offset));
  let question: Reply['question'] = null;
  if (questions === 1) {
    const { text, end } = name(at);
    question = { name: text, type: all.readUInt16BE(end), class: all.readUInt16BE(end + 2) };
    at = end + 4;
  } else assert.equal(questions, 0);
  const sections = counts.map((n) => Array.from({ length: n }, record));
  assert.equal(at, all.length, 'nothing is left over');
  const [answers = [], authorities = [], additional = []] = sections;
  const flags = all.readUInt16BE(2);
  const rcode = flags & 0xf;
  return { id: all.readUInt16BE(0), flags, rcode, question, answers, authorities, additional };
}
