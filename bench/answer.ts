/**
 * Where one HTTP/1.1 answer ends in the bytes read so far: just enough of the protocol for the load generator, which
 * talks to programs this benchmark started itself. Pure.
 */

export interface Answer {
  readonly status: number;
  /** Offset behind the last byte of the answer. */
  readonly end: number;
}

/** @returns null while the answer is incomplete; status 0 for bytes that are no HTTP/1.1 answer with a length. */
export function findAnswer(bytes: Buffer): Answer | null {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd < 0) return null;
  const head = bytes.toString('latin1', 0, headEnd);
  const status = /^HTTP\/1\.1 (\d{3})/.exec(head)?.[1];
  if (status === undefined) return { status: 0, end: bytes.length };
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
  const end =
    length !== undefined
      ? headEnd + 4 + Number(length)
      : /\r\ntransfer-encoding: *chunked/i.test(head)
        ? chunkedEnd(bytes, headEnd + 4)
        : null;
  if (end === null) return length === undefined && !/chunked/i.test(head) ? broken(bytes) : null;
  return end > bytes.length ? null : { status: Number(status), end };
}

const broken = (bytes: Buffer): Answer => ({ status: 0, end: bytes.length });

function chunkedEnd(bytes: Buffer, start: number): number | null {
  let at = start;
  while (at < bytes.length) {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd < 0) return null;
    const size = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16);
    if (Number.isNaN(size)) return bytes.length;
    at = lineEnd + 2 + size + 2;
    if (size === 0) return at;
  }
  return null;
}
