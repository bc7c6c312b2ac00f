/**
 * The few DER forms (ITU-T X.690) that the certificate library does not write: name constraints and a trust store for
 * Java. Writing only, from values of our own; nothing here reads. Pure.
 */

const SEQUENCE = 0x30;
const SET = 0x31;
const INTEGER = 0x02;
const OCTET_STRING = 0x04;
const OBJECT_IDENTIFIER = 0x06;
const BMP_STRING = 0x1e;
const CONTEXT = 0x80;
const CONSTRUCTED = 0x20;

const element = (tag: number, ...content: readonly Uint8Array[]): Uint8Array => {
  const length = content.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([Uint8Array.of(tag), lengthOctets(length), ...content]);
};

export const sequence = (...content: readonly Uint8Array[]) => element(SEQUENCE, ...content);

/** A SET OF; DER sorts its members by their bytes. */
export const setOf = (...members: readonly Uint8Array[]) =>
  element(SET, ...members.toSorted((a, b) => Buffer.compare(a, b)));

/** From 0 to 127. */
export const smallInteger = (value: number) => element(INTEGER, Uint8Array.of(value));

export const octetString = (...content: readonly Uint8Array[]) => element(OCTET_STRING, ...content);

/** ASCII only. */
export const bmpString = (text: string) =>
  element(BMP_STRING, Buffer.from(text, 'utf16le').swap16());

/** `[number]` in place of the tag of a primitive type (IMPLICIT). */
export const implicit = (number: number, content: Uint8Array) => element(CONTEXT + number, content);

/** `[number]` around elements (EXPLICIT), or in place of the tag of a constructed type. */
export const constructed = (number: number, ...content: readonly Uint8Array[]) =>
  element(CONTEXT + CONSTRUCTED + number, ...content);

/** From dotted decimals such as `2.5.29.30`. */
export function objectIdentifier(dotted: string): Uint8Array {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const octets = [first * 40 + second, ...rest].flatMap(base128);
  return element(OBJECT_IDENTIFIER, Uint8Array.from(octets));
}

function base128(value: number): number[] {
  const septets = [value % 128];
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) {
    septets.unshift(128 + (rest % 128));
  }
  return septets;
}

function lengthOctets(length: number): Uint8Array {
  if (length < 128) return Uint8Array.of(length);
  const octets: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256);
  return Uint8Array.of(128 + octets.length, ...octets);
}
