/**
 * Requests to a server that hands out policy: a bearer token from a file that is read again for each use, a CA of its
 * own, bounds on time and size. Shell: owns the connections.
 */
import { readFile } from 'node:fs/promises';
import { Agent, request } from 'undici';

export interface HttpsClientOptions {
  /** Base URL without a slash at its end. */
  readonly url: string;
  /** Holds a bearer token; null for none. */
  readonly tokenFile: string | null;
  /** PEM; null trusts the roots of the machine. */
  readonly caFile: string | null;
}

export interface HttpsAnswer {
  readonly status: number;
  readonly etag: string | null;
  readonly body: Uint8Array;
}

export interface HttpsAsk {
  readonly method?: 'GET' | 'POST';
  /** After the base URL, with a slash. */
  readonly path: string;
  readonly etag?: string | null;
  readonly body?: string;
  readonly timeoutMs: number;
  readonly bytesMax: number;
}

export interface HttpsClient {
  ask(request: HttpsAsk): Promise<HttpsAnswer>;
  close(): Promise<void>;
}

const CONNECT_MS = 5000;

/** @throws when the CA file cannot be read. */
export async function openHttpsClient(options: HttpsClientOptions): Promise<HttpsClient> {
  const { url, tokenFile, caFile } = options;
  const ca = caFile === null ? undefined : await readFile(caFile, 'utf8');
  const dispatcher = new Agent({
    allowH2: false,
    connect: { timeout: CONNECT_MS, ...(ca === undefined ? {} : { ca }) },
  });
  const closed = new AbortController();
  return {
    async ask({ method = 'GET', path, etag = null, body, timeoutMs, bytesMax }) {
      const token = tokenFile === null ? null : (await readFile(tokenFile, 'utf8')).trim();
      const answer = await request(`${url}${path}`, {
        dispatcher,
        method,
        headers: {
          ...(token === null ? {} : { authorization: `Bearer ${token}` }),
          ...(etag === null ? {} : { 'if-none-match': etag }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body }),
        headersTimeout: timeoutMs,
        bodyTimeout: timeoutMs,
        signal: AbortSignal.any([AbortSignal.timeout(timeoutMs), closed.signal]),
      });
      const chunks: Buffer[] = [];
      let bytes = 0;
      for await (const chunk of answer.body as AsyncIterable<Buffer>) {
        bytes += chunk.length;
        if (bytes > bytesMax) {
          answer.body.destroy();
          throw new Error(`${url}${path}: found more than ${bytesMax} bytes`);
        }
        chunks.push(chunk);
      }
      const given = answer.headers['etag'];
      return {
        status: answer.statusCode,
        etag: typeof given === 'string' ? given : null,
        body: Buffer.concat(chunks),
      };
    },
    close: () => {
      closed.abort(new Error('closed'));
      return dispatcher.destroy();
    },
  };
}
