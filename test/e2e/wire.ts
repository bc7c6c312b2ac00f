/**
 * HTTP as bytes, for what no client library would send: writes on a socket of its own and reads one answer.
 * Shell: owns a socket for one exchange.
 */
import { connect, type Socket } from 'node:net';

export interface WireAnswer {
  /** 0 when no status line came. */
  readonly status: number;
  /** Lower-case names. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
  /** Everything that came. */
  readonly raw: string;
  /** `whole`: as much as Content-Length says; `closed`: the connection ended first; `reset`: it broke. */
  readonly ending: 'whole' | 'closed' | 'reset';
}

export interface WireOptions {
  /** Reads on after a whole answer, until the connection ends. */
  readonly untilClosed?: boolean;
  /** Called with the socket once it is connected and `bytes` are written. */
  readonly onWritten?: (socket: Socket) => void;
}

/** Writes `bytes` and reads one answer; an answer without Content-Length ends with the connection. */
export function exchange(
  port: number,
  bytes: string | Uint8Array,
  options: WireOptions = {},
): Promise<WireAnswer> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    const chunks: Buffer[] = [];
    const finish = (ending: WireAnswer['ending']) => {
      socket.destroy();
      resolve(parsed(Buffer.concat(chunks).toString('latin1'), ending));
    };
    socket.on('connect', () => {
      socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
      options.onWritten?.(socket);
    });
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      const text = Buffer.concat(chunks).toString('latin1');
      if (options.untilClosed !== true && isWhole(text)) finish('whole');
    });
    socket.on('end', () => finish('closed'));
    socket.on('error', () => finish('reset'));
  });
}

function isWhole(text: string): boolean {
  const end = text.indexOf('\r\n\r\n');
  if (end === -1) return false;
  const length = /\r\ncontent-length: *(\d+)/i.exec(text.slice(0, end))?.[1];
  return length !== undefined && text.length >= end + 4 + Number(length);
}

function parsed(raw: string, ending: WireAnswer['ending']): WireAnswer {
  const end = raw.indexOf('\r\n\r\n');
  const [line = '', ...fields] = (end === -1 ? raw : raw.slice(0, end)).split('\r\n');
  const headers = new Map(
    fields.map((field) => {
      const colon = field.indexOf(':');
      return [field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim()] as const;
    }),
  );
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(line)?.[1] ?? 0);
  return { status, headers, body: end === -1 ? '' : raw.slice(end + 4), raw, ending };
}
