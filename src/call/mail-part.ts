/**
 * The MIME tree of a mail (RFC 5322, 2045, 2046), read so strictly that only one reading is left:
 * one kind of line end in headers and at boundaries, one copy of each header, exact and closed
 * boundaries, nothing between the parts, plain transfer encodings. Every leaf comes out, so no part
 * can hide. Trusts nothing and bounds everything. Pure.
 */
import { createHash } from 'node:crypto';
import { strictBase64 } from './base64.ts';
import { parseContentType } from './content-type.ts';
import { decodeCharset, decodeWords, isHeaderText } from './mail-address.ts';
import { mailParameter } from './mail-parameter.ts';
import type { Attachment } from './tool-call.ts';

export const MAIL_PARTS_MAX = 100;
const DEPTH_MAX = 8;
const HEADER_LINES_MAX = 200;
const HEADER_CHARS_MAX = 65_536;

/** A header block: lower-case names, unfolded values as Unicode text. */
export type MailHeaders = ReadonlyMap<string, readonly string[]>;

export type Leaf =
  | { readonly kind: 'text' | 'html'; readonly text: string }
  | { readonly kind: 'attachment'; readonly attachment: Attachment; readonly exact: boolean };

export interface MailTree {
  readonly ok: true;
  readonly headers: MailHeaders;
  readonly leaves: readonly Leaf[];
}
export interface BadMail {
  readonly ok: false;
  readonly detail: string;
}

const bad = (detail: string): BadMail => ({ ok: false, detail });

/**
 * Reads a whole mail. Headers and boundaries end in CRLF or LF, as the first line; text may mix
 * both.
 */
export function parseMailTree(bytes: Uint8Array): MailTree | BadMail {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  if (text.includes('\0')) return bad('a NUL byte');
  if (/\r(?!\n)/.test(text)) return bad('a bare carriage return');
  const newline = text.indexOf('\n');
  const eol = newline > 0 && text[newline - 1] === '\r' ? '\r\n' : '\n';
  const leaves: Leaf[] = [];
  const root = readPart(text, { eol, depth: 0, leaves });
  if (!root.ok) return root;
  return root.headers.size === 0 ? bad('no headers') : { ok: true, headers: root.headers, leaves };
}

interface Reading {
  readonly eol: string;
  readonly depth: number;
  readonly leaves: Leaf[];
}

function readPart(text: string, reading: Reading): { ok: true; headers: MailHeaders } | BadMail {
  const { eol } = reading;
  const headless = text.startsWith(eol);
  const end = headless ? 0 : text.indexOf(eol + eol);
  if (end === -1) return bad('no empty line after the headers');
  const headers = parseHeaderBlock(text.slice(0, end), eol);
  if (!headers.ok) return headers;
  const body = text.slice(headless ? eol.length : end + 2 * eol.length);
  const wrong = readBody(headers.headers, body, reading);
  return wrong ?? headers;
}

function parseHeaderBlock(
  block: string,
  eol: string,
): { ok: true; headers: MailHeaders } | BadMail {
  const headers = new Map<string, string[]>();
  if (block === '') return { ok: true, headers };
  if (block.length > HEADER_CHARS_MAX) return bad('headers are too long');
  const lines = block.split(eol);
  if (lines.length > HEADER_LINES_MAX) return bad('too many header lines');
  if (lines.some((line) => line.includes('\n'))) return bad('mixed line ends in the headers');
  if (lines.some((line) => line.trim() === '')) return bad('a blank header line');
  const unfolded = lines.join('\n').replace(/\n(?=[ \t])/g, '');
  for (const line of unfolded.split('\n')) {
    const [, name, raw] = /^([!-9;-~]+):(.*)$/.exec(line) ?? [];
    if (name === undefined || raw === undefined) return bad('a header line without name and colon');
    const value = decodeCharset(Buffer.from(raw, 'latin1'), 'utf-8');
    if (value === null || !isHeaderText(value)) {
      return bad(`${name.toLowerCase()}: bytes that are no header text`);
    }
    const values = headers.get(name.toLowerCase());
    if (values === undefined) headers.set(name.toLowerCase(), [value.trim()]);
    else values.push(value.trim());
  }
  return { ok: true, headers };
}

const PART_HEADER = /^(content-[a-z-]+|mime-version|x-attachment-id)$/;

/** Null when the body was read into `leaves`. */
function readBody(headers: MailHeaders, body: string, reading: Reading): BadMail | null {
  for (const [name, values] of headers) {
    if (values.length > 1 && name.startsWith('content-')) return bad(`${name} stands twice`);
    if (reading.depth > 0 && !PART_HEADER.test(name)) return bad('an unknown header in a part');
  }
  const type = parseContentType(headers.get('content-type')?.[0] ?? 'text/plain');
  if (type === null) return bad('content-type is malformed');
  if (!type.value.includes('/')) return bad('content-type without subtype');
  if (type.value.startsWith('multipart/')) return readMultipart(headers, type, body, reading);
  if (reading.leaves.length >= MAIL_PARTS_MAX) return bad(`more than ${MAIL_PARTS_MAX} parts`);
  const leaf = readLeaf(headers, type, body);
  if ('ok' in leaf) return leaf;
  reading.leaves.push(leaf);
  return null;
}

type Type = NonNullable<ReturnType<typeof parseContentType>>;

function readMultipart(
  headers: MailHeaders,
  type: Type,
  body: string,
  reading: Reading,
): BadMail | null {
  const encoding = headers.get('content-transfer-encoding')?.[0]?.toLowerCase() ?? '7bit';
  const boundary = type.parameters['boundary'] ?? '';
  if (reading.depth >= DEPTH_MAX) return bad(`nested more than ${DEPTH_MAX} levels deep`);
  if (!/^multipart\/(mixed|alternative|related)$/.test(type.value)) {
    return bad('a multipart other than mixed, alternative and related');
  }
  if (!/^(7bit|8bit|binary)$/.test(encoding)) return bad('an encoded multipart');
  if (!/^[A-Za-z0-9'()+_,./:=? -]{0,69}[A-Za-z0-9'()+_,./:=?-]$/.test(boundary)) {
    return bad('a multipart without a valid boundary');
  }
  const parts = splitParts(body, `--${boundary}`, reading.eol);
  if ('ok' in parts) return parts;
  for (const part of parts) {
    const read = readPart(part, { ...reading, depth: reading.depth + 1 });
    if (!read.ok) return read;
  }
  return null;
}

/**
 * What some mailers write before the first part. Anything else there would be text that nobody
 * shows.
 */
const NOTES = new Set(['', 'This is a multi-part message in MIME format.']);

/** The texts between exact boundary lines. A line that only begins like a boundary is refused. */
function splitParts(body: string, delimiter: string, eol: string): string[] | BadMail {
  const parts: string[] = [];
  let start = -1;
  let closed = false;
  const lines = `${eol}${body}`; // so that every line follows a line end
  if (eol === '\r\n' && hasBareLine(body, delimiter))
    return bad('a boundary after a bare line feed');
  const search = eol + delimiter;
  for (let at = lines.indexOf(search); at !== -1; at = lines.indexOf(search, at + 1)) {
    const lineEnd = lines.indexOf(eol, at + eol.length);
    const line = lines.slice(at + eol.length, lineEnd === -1 ? lines.length : lineEnd);
    const closing = line === `${delimiter}--`;
    if (closed || (line !== delimiter && !closing)) return bad('a line that resembles a boundary');
    if (start === -1 && !NOTES.has(lines.slice(0, at).trim()))
      return bad('text before the first part');
    if (start !== -1) parts.push(lines.slice(Math.min(start, at), at));
    if (parts.length > MAIL_PARTS_MAX) return bad(`more than ${MAIL_PARTS_MAX} parts`);
    start = lineEnd === -1 ? lines.length : lineEnd + eol.length;
    closed = closing;
  }
  if (!closed || parts.length === 0) return bad('a multipart without parts or without its end');
  return lines.slice(start).trim() === ''
    ? parts.map((part) => terminated(part, eol))
    : bad('text after the last part');
}

/** Parsers that take a bare line feed for a line end would see a boundary there. */
function hasBareLine(body: string, start: string): boolean {
  const search = `\n${start}`;
  for (let at = body.indexOf(search); at !== -1; at = body.indexOf(search, at + 1)) {
    if (body[at - 1] !== '\r') return true;
  }
  return false;
}

/** A part without body ends where its headers end. */
const terminated = (part: string, eol: string): string =>
  part.startsWith(eol) || part.includes(eol + eol)
    ? part
    : `${part}${part === '' ? '' : eol}${eol}`;

function readLeaf(headers: MailHeaders, type: Type, body: string): Leaf | BadMail {
  if (/^message\/(partial|external-body)$/.test(type.value))
    return bad('a part that lies elsewhere');
  const disposition = parseContentType(headers.get('content-disposition')?.[0] ?? 'inline');
  if (disposition === null) return bad('content-disposition is malformed');
  const bytes = decodeBody(body, headers.get('content-transfer-encoding')?.[0] ?? '7bit');
  if (bytes === null) return bad('a body that does not fit its transfer encoding');
  const name = leafName(type, disposition);
  if (name === null) return bad('an attachment name that can be read in more than one way');
  const isText = type.value === 'text/plain' || type.value === 'text/html';
  if (isText && disposition.value !== 'attachment' && name === '') {
    const text = decodeCharset(bytes, type.parameters['charset'] ?? 'us-ascii');
    if (text === null) return bad('text in a charset other than UTF-8, US-ASCII and ISO-8859-1');
    if (type.parameters['format'] !== undefined) return bad('text with a format parameter');
    return { kind: type.value === 'text/html' ? 'html' : 'text', text };
  }
  return {
    kind: 'attachment',
    attachment: attachmentOf(name, type.value, bytes),
    exact: /^base64$/i.test(headers.get('content-transfer-encoding')?.[0] ?? ''),
  };
}

/** What policy sees of a file. */
export const attachmentOf = (name: string, mediaType: string, bytes: Uint8Array): Attachment => ({
  name,
  media_type: mediaType,
  bytes: bytes.length,
  sha256: createHash('sha256').update(bytes).digest('hex'),
});

/** The one name of a leaf, '' when it has none, null when two differ or one is malformed. */
function leafName(type: Type, disposition: Type): string | null {
  const names = [
    mailParameter(disposition.parameters, 'filename'),
    mailParameter(type.parameters, 'name'),
  ];
  const decoded = names.map((name) =>
    name === undefined || name === null ? name : decodeWords(name),
  );
  const given = decoded.filter((name) => name !== undefined);
  const [name = '', other] = given;
  if (name === null || other === null || (other !== undefined && other !== name)) return null;
  return name.length <= 255 && isHeaderText(name) ? name : null;
}

function decodeBody(body: string, encoding: string): Uint8Array | null {
  switch (encoding.toLowerCase()) {
    case '7bit':
    case '8bit':
    case 'binary':
      return Buffer.from(body, 'latin1');
    case 'base64': {
      const text = body.replace(/\r?\n/g, '');
      return /[-_]/.test(text) || text.length % 4 !== 0 ? null : strictBase64(text);
    }
    case 'quoted-printable':
      return quotedPrintable(body);
    default:
      return null;
  }
}

function quotedPrintable(body: string): Uint8Array | null {
  if (/[ \t]\r?$/m.test(body)) return null; // trailing blanks are dropped by some
  const joined = body.replace(/=\r?\n/g, '');
  if (/=(?![0-9A-Fa-f]{2})/.test(joined) || /[\x80-\xff]/.test(joined)) return null;
  const decoded = joined.replace(/=(..)/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(decoded, 'latin1');
}
