/**
 * Reader of DER, the encoding of certificates: bounded, and strict about lengths. Pure.
 */

/** The bytes are no DER, or not what they should be. Only inside of this folder. */
export class DerError extends Error {
  override name = 'DerError';
}

export interface Element {
  readonly tag: number;
  /** With its tag and length. */
  readonly raw: Buffer;
  readonly content: Buffer;
}

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bits: 0x03,
  octets: 0x04,
  oid: 0x06,
  utcTime: 0x17,
  sequence: 0x30,
  set: 0x31,
} as const;

/** The elements one after the other. */
export function elements(bytes: Buffer): readonly Element[] {
  const found: Element[] = [];
  for (let at = 0; at < bytes.length; ) {
    const element = elementAt(bytes, at);
    found.push(element);
    at += element.raw.length;
  }
  return found;
}

function elementAt(bytes: Buffer, at: number): Element {
  const [tag, first] = [bytes[at], bytes[at + 1]];
  if (tag === undefined || first === undefined || (tag & 0x1f) === 0x1f) throw new DerError('tag');
  let start = at + 2;
  let length = first;
  if (first >= 0x80) {
    const count = first & 0x7f;
    if (count === 0 || count > 4 || start + count > bytes.length) throw new DerError('length');
    length = bytes.readUIntBE(start, count);
    start += count;
  }
  if (start + length > bytes.length) throw new DerError('length');
  const raw = bytes.subarray(at, start + length);
  return { tag, raw, content: bytes.subarray(start, start + length) };
}

/** What is inside of one element with the tag. */
export function inside(element: Element | undefined, tag: number = TAG.sequence) {
  if (element?.tag !== tag) throw new DerError(`expected tag ${tag}`);
  return elements(element.content);
}

export function contentOf(element: Element | undefined, tag: number): Buffer {
  if (element?.tag !== tag) throw new DerError(`expected tag ${tag}`);
  return element.content;
}

export function only(bytes: Buffer): Element {
  const [element, more] = elements(bytes);
  if (element === undefined || more !== undefined) throw new DerError('expected one element');
  return element;
}

export function integer(element: Element | undefined): bigint {
  const bytes = contentOf(element, TAG.integer);
  if (bytes.length === 0) throw new DerError('integer');
  return BigInt.asIntN(bytes.length * 8, BigInt(`0x${bytes.toString('hex')}`));
}

export function oid(element: Element | undefined): readonly number[] {
  const numbers: number[] = [];
  let value = 0;
  for (const byte of contentOf(element, TAG.oid)) {
    value = value * 128 + (byte & 0x7f);
    if (!Number.isSafeInteger(value)) throw new DerError('identifier');
    if (byte & 0x80) continue;
    if (numbers.length === 0) {
      const first = Math.min(2, Math.floor(value / 40));
      numbers.push(first, value - first * 40);
    } else numbers.push(value);
    value = 0;
  }
  return numbers;
}

/** Bits that fill whole bytes. */
export function bits(element: Element | undefined): Buffer {
  const content = contentOf(element, TAG.bits);
  if (content.length === 0) throw new DerError('bits');
  return content.subarray(1);
}

/** In the form of RFC 3339. */
export function time(element: Element | undefined): string {
  const text = element?.content.toString('latin1') ?? '';
  const short = element?.tag === TAG.utcTime;
  const match = /^(\d\d)?(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(
    short ? `  ${text}`.trim() : text,
  );
  if (match === null || (match[1] === undefined) !== short) throw new DerError('time');
  const [, century, year, month, day, hour, minute, second] = match;
  const full = century ?? (Number(year) >= 50 ? '19' : '20');
  return `${full}${year}-${month}-${day}T${hour}:${minute}:${second}Z`;
}

/** A text of any of the string types. */
export function textOf({ tag, content }: Element): string {
  if (tag === 0x1e) {
    const even = content.length % 2 === 0 ? content : content.subarray(0, -1);
    return Buffer.from(even).swap16().toString('utf16le').toWellFormed();
  }
  return content.toString('utf8');
}
